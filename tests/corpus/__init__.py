"""A corpus of tokens that must be refused, of tokens that must not, and of adapters at which both are offered.

Entries are data: name, numbers of the security checklist, token, the code of the error, and what is wrong. They are
made anew for each run by code of their own (`signers`, `issuers`), with real keys, in one module for each area:
`framing`, `json_text`, `algorithm`, `header`, `signature`, `asymmetric`, `claims`, `parties`, `crossing`. The valid ones
are in `valid`. Each is meant for the configuration of one issuer, whose name it carries.

An adapter takes a token to wherever the library is used, and says what became of it. `adapters` has the protocol and the
functions of the core, `asgi` the middleware, `frameworks` the rest. For a new one:

1. Write a class like `asgi.Middleware`: `open(issuer)` builds the application with `issuer.config` and yields a
   function from an entry to a `Verdict` (200 and the identity, or the status and the phrase of the refusal).
2. Where tokens come in an Authorization header, derive from `HeaderAdapter`; it knows what no header can carry. Elsewhere
   say in `expects` what has to become of an entry, and in `takes` what cannot be offered at all.
3. Await `runner.run(adapter)` and assert that its `failures` are an empty list and that `skipped` is what it should
   be; or add a line to `ADAPTERS` in `test_corpus`, which does just that.

The runner offers every hostile token twice in a row, every valid one three times, so that the last time it is one that
is remembered, and an ordinary one first and last. Whatever is raised is a failure. `test_memory` has what else there is
to say about remembered tokens.
"""
