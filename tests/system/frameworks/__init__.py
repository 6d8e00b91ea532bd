"""Twenty checks of what the guard promises, the same for every framework, and the page that tells what came of them."""
