// The official MCP client finds its way into a server: discovery, registration, PKCE, a call, a step-up, and an end.
//
// node mcp_client.mjs URL USER

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';

const [url, user] = process.argv.slice(2);
const redirectUrl = 'http://127.0.0.1:9/callback';

const kept = {};
const asked = [];
let code;

// What a browser does: it follows redirects, and keeps cookies.
async function logIn(address) {
  const cookies = new Map();
  let next = new URL(address);
  asked.push(next.searchParams.get('scope'));
  next.searchParams.set('login_hint', user);
  while (!next.href.startsWith(redirectUrl)) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(next, { redirect: 'manual', headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split('=');
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (!location) throw new Error(`${response.status} ${await response.text()}`);
    next = new URL(location, next);
  }
  code = next.searchParams.get('code');
  if (!code) throw new Error(next.href);
}

const authProvider = {
  redirectUrl,
  clientMetadata: {
    client_name: 'tests',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  redirectToAuthorization: logIn,
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
};

async function connect() {
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  const client = new Client({ name: 'tests', version: '1' });
  try {
    await client.connect(transport);
    return [client, transport];
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(code);
    return connect();
  }
}

const [client, transport] = await connect();
const call = async (name, text) => (await client.callTool({ name, arguments: { text } })).content[0].text;
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const who = await call('who');
let wrote;
try {
  wrote = await call('write', 'a');
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
  await transport.finishAuth(code);
  wrote = await call('write', 'a');
}
const session = transport.sessionId;
await transport.terminateSession();
await client.close();
console.log(JSON.stringify({ tools, who, wrote, asked, session, client: kept.client.client_id }));
