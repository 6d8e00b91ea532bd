// The npm package `jose` at the command line. A JSON object comes in at stdin, and one goes out at stdout.
//
// node jose.mjs mint    {"jwk", "alg", "claims"}                       -> {"token"}
// node jose.mjs verify  {"token", "jwks_url" | "jwk", "issuer", "audience"}   -> {"claims", "header"} or {"error"}
// node jose.mjs judge   [{"token", "jwk", "issuer", "audience"}, ...]         -> [whether each is verified]

import { text } from 'node:stream/consumers';
import { SignJWT, createRemoteJWKSet, importJWK, jwtVerify } from 'jose';

const [, , command] = process.argv;
const asked = JSON.parse(await text(process.stdin));

async function mint({ jwk, alg, claims }) {
  const key = await importJWK(jwk, alg);
  const token = await new SignJWT(claims).setProtectedHeader({ alg, kid: jwk.kid, typ: 'at+jwt' }).sign(key);
  return { token };
}

async function verify({ token, jwks_url: url, jwk, issuer, audience }) {
  const key = url ? createRemoteJWKSet(new URL(url)) : await importJWK(jwk, jwk.alg);
  try {
    const { payload, protectedHeader } = await jwtVerify(token, key, { issuer, audience });
    return { claims: payload, header: protectedHeader };
  } catch (error) {
    return { error: error.code };
  }
}

async function judge(asked) {
  const found = await Promise.all(asked.map(({ audience, ...one }) => verify({ ...one, audience: audience ?? undefined })));
  return found.map(({ error }) => error === undefined);
}

console.log(JSON.stringify(await { mint, verify, judge }[command](asked)));
