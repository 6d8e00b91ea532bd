// Better Auth as an OpenID provider on loopback, everything in memory: JWT access tokens (RFC 9068) for resources.
//
// node better-auth.mjs PORT
//
// GET  /.well-known/openid-configuration and its `jwks_uri`; the issuer is the bare origin.
// POST /control/tokens answers with the tokens of a user that went through the code flow (with PKCE): Alice's.
// POST /control/rotation lets the signing key expire, so that the next token is signed by a new one.

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';
import { oauthProvider } from '@better-auth/oauth-provider';

const port = Number(process.argv[2]);
const origin = `http://127.0.0.1:${port}`;
const redirect_uri = 'https://app.example/callback';
const resource = 'https://api.example';
const models = ['user', 'session', 'account', 'verification', 'jwks', 'oauthClient', 'oauthRefreshToken'];
models.push('oauthAccessToken', 'oauthConsent', 'oauthResource', 'oauthClientResource', 'oauthClientAssertion');
const tables = Object.fromEntries(models.map((name) => [name, []]));

const auth = betterAuth({
  baseURL: origin,
  secret: randomBytes(32).toString('hex'),
  database: memoryAdapter(tables),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  plugins: [
    jwt({ jwt: { issuer: origin }, jwks: { keyPairConfig: { alg: 'ES256' } } }),
    oauthProvider({
      loginPage: '/login',
      consentPage: '/consent',
      scopes: ['openid', 'read', 'write'],
      resources: [resource],
      enforcePerClientResources: false,
      clientPrivileges: () => true,
      silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
    }),
  ],
});

const signedUp = await auth.api.signUpEmail({
  body: { email: 'alice@example.com', password: 'a-password-of-this-test', name: 'Alice' },
  asResponse: true,
});
const cookie = signedUp.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ');
const client = await auth.api.adminCreateOAuthClient({
  headers: { cookie },
  body: {
    client_name: 'app',
    redirect_uris: [redirect_uri],
    scope: 'openid read write',
    client_credentials_scopes: ['read', 'write'],
    grant_types: ['authorization_code', 'client_credentials'],
    skip_consent: true,
  },
});
const basic = `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')}`;

async function tokenBy(grant) {
  const answer = await auth.handler(
    new Request(`${origin}/api/auth/oauth2/token`, {
      method: 'POST',
      headers: { authorization: basic, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ resource, ...grant }),
    }),
  );
  return answer.json();
}

async function tokensOfAlice() {
  const code_verifier = randomBytes(32).toString('base64url');
  const asked = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri,
    resource,
    scope: 'openid read',
    state: 'state',
    nonce: 'nonce',
    code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const answer = await auth.handler(new Request(`${origin}/api/auth/oauth2/authorize?${asked}`, { headers: { cookie } }));
  const place = answer.headers.get('location') ?? (await answer.json()).url;
  const code = new URL(place, origin).searchParams.get('code');
  return tokenBy({ grant_type: 'authorization_code', code, code_verifier, redirect_uri });
}

const control = {
  tokens: tokensOfAlice,
  machine: () => tokenBy({ grant_type: 'client_credentials', scope: 'read write' }),
  rotation: () => tables.jwks.map((key) => Object.assign(key, { expiresAt: new Date(Date.now() - 1000) }).id),
};
const handle = toNodeHandler(auth);
createServer(async (request, response) => {
  if (request.url === '/.well-known/openid-configuration') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(await auth.api.getOpenIdConfig()));
  } else if (request.method === 'POST' && request.url.startsWith('/control/')) {
    response.end(JSON.stringify(await control[request.url.slice('/control/'.length)]()));
  } else {
    await handle(request, response);
  }
}).listen(port, '127.0.0.1');
