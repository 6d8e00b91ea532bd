// An OpenID provider on loopback: JWT access tokens (RFC 9068) in four algorithms, and keys that change when told to.
//
// node provider.mjs PORT
//
// POST /control/{published,signing,alone} takes the next step of a rotation: the second set of keys is published beside
// the first, then signs, then is alone. A fresh provider signs with the first set, which is alone.

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

function providerWith(keys) {
  return new Provider(issuer, {
    clients: [
      {
        client_id: 'app',
        client_secret: 'a-secret-of-this-test-alone',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    cookies: { keys: [randomUUID()] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        // A resource for each algorithm: https://RS256.example and so on.
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'read write',
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: algorithms.find((alg) => resource.includes(alg)) } },
        }),
      },
    },
    jwks: { keys },
  });
}

const first = await newKeys();
const second = await newKeys();
const steps = { published: [...first, ...second], signing: [...second, ...first], alone: second };
let answer = providerWith(first).callback();

createServer((request, response) => {
  const step = request.url.replace('/control/', '');
  if (request.method === 'POST' && step in steps) {
    answer = providerWith(steps[step]).callback();
    response.writeHead(204).end();
    return;
  }
  answer(request, response);
}).listen(port, '127.0.0.1');
