// An OpenID provider on loopback: JWT access tokens (RFC 9068) in four algorithms, and keys that change when told to;
// opaque access tokens for the resource https://opaque.example, with introspection (RFC 7662) and revocation (RFC 7009).
//
// node provider.mjs PORT
//
// POST /control/{published,signing,alone} takes the next step of a rotation: the second set of keys is published beside
// the first, then signs, then is alone. A fresh provider signs with the first set, which is alone.
// POST /control/tokens answers with tokens of a user that need no browser: an access token and a refresh token of Alice.

import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];

async function newKeys() {
  const keys = [];
  for (const alg of algorithms) {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    keys.push({ ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-${randomUUID()}` });
  }
  return keys;
}

const client_id = 'app';
const opaque = 'https://opaque.example';

function providerWith(keys) {
  return new Provider(issuer, {
    clients: [
      {
        client_id,
        client_secret: 'a-secret-of-this-test-alone',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        // What an API is to the provider. The identifier is an address, so that its encoding matters.
        client_id: 'urn:api 1',
        client_secret: 'another-secret-of-this-test:%',
        grant_types: [],
        redirect_uris: [],
        response_types: [],
      },
    ],
    // The tokens of a client have no subject; an opaque one of this provider names the client as such, and a role.
    extraTokenClaims: (ctx, token) =>
      token.kind === 'ClientCredentials' && token.aud === opaque
        ? { sub: token.clientId, roles: ['reader'] }
        : undefined,
    cookies: { keys: [randomUUID()] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // A resource for each algorithm: https://RS256.example and so on.
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'read write',
          audience: resource,
          accessTokenTTL: 600,
          ...(resource === opaque
            ? { accessTokenFormat: 'opaque' }
            : { accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithms.find((alg) => resource.includes(alg)) } } }),
        }),
      },
    },
    jwks: { keys },
  });
}

const first = await newKeys();
const second = await newKeys();
const steps = { published: [...first, ...second], signing: [...second, ...first], alone: second };
let provider = providerWith(first);
let answer = provider.callback();

async function tokensOfAlice() {
  const client = await provider.Client.find(client_id);
  const accountId = 'alice';
  const grantId = await new provider.Grant({ accountId, clientId: client_id }).save();
  const common = { accountId, client, grantId, gty: 'authorization_code', scope: 'read' };
  return {
    access_token: await new provider.AccessToken(common).save(),
    refresh_token: await new provider.RefreshToken(common).save(),
  };
}

createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/control/tokens') {
    response.end(JSON.stringify(await tokensOfAlice()));
    return;
  }
  const step = request.url.replace('/control/', '');
  if (request.method === 'POST' && step in steps) {
    provider = providerWith(steps[step]);
    answer = provider.callback();
    response.writeHead(204).end();
    return;
  }
  answer(request, response);
}).listen(port, '127.0.0.1');
