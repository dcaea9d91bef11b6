// Makes sealed.json. A second implementation of the seal; see README.md.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Aes256Gcm, CipherSuite, HkdfSha256, HkdfSha512 } from "@hpke/core";
import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { XWing } from "@hpke/hybridkem-x-wing";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const shake = (what, length) =>
  new Uint8Array(createHash("shake256", { outputLength: length }).update(what).digest());
const noise = (what, length) => shake("quorate hpke vector, " + what, length);
const join = (...pieces) => new Uint8Array(Buffer.concat(pieces.map((one) => Buffer.from(one))));
const flipped = (bytes, place) => bytes.map((byte, at) => (at === place ? byte ^ 1 : byte));

const kem = () => new XWing();
const suite = new CipherSuite({ kem: kem(), kdf: new HkdfSha256(), aead: new Chacha20Poly1305() });

// The draft's own vector opens here: this implementation is of the same draft.
const draft = JSON.parse(readFileSync("draft.json"));
const unhex = (digits) => new Uint8Array(Buffer.from(digits, "hex"));
const drafted = await suite.createRecipientContext({
  recipientKey: await suite.kem.importKey("raw", unhex(draft.skRm), false),
  enc: unhex(draft.enc), info: unhex(draft.info),
});
const { aad, ct, pt } = draft.encryption;
if (hex(await drafted.open(unhex(ct), unhex(aad))) !== pt) throw new Error("the draft's vector");

// A reader: X-Wing's 32-byte seed, and the 96 bytes that it stands for (draft, 5.2).
async function reader(name) {
  const { publicKey, privateKey } = await suite.kem.deriveKeyPair(noise("reader " + name, 32));
  const seed = new Uint8Array(await suite.kem.serializePrivateKey(privateKey));
  return {
    seed,
    publicKey,
    privateKey,
    expanded: shake(seed, 96),
    bytes: new Uint8Array(await suite.kem.serializePublicKey(publicKey)),
  };
}

async function seal(to, title, plaintext, info, { using = suite, aad, psk, skip = 0 } = {}) {
  const ekm = noise("ephemeral, " + title, 64);
  const context = await using.createSenderContext({
    recipientPublicKey: to.publicKey, info, ekm, psk,
  });
  for (let count = 0; count < skip; count++) await context.seal(noise("skipped", 32));
  const ciphertext = new Uint8Array(await context.seal(plaintext, aad));
  return join(new Uint8Array(context.enc), ciphertext);
}

const alice = await reader("alice");
const bob = await reader("bob");
const part = noise("part", 32);
const info = noise("info", 300);

const good = [];
for (const [title, to, plaintext, bound] of [
  ["no info", alice, part, new Uint8Array()],
  ["a short info", alice, part, new TextEncoder().encode("quorate")],
  ["an info as long as a load's", bob, part, info],
  ["an info of 4096 bytes", bob, noise("part 2", 32), noise("long info", 4096)],
]) {
  const sealed = await seal(to, title, plaintext, bound);
  const context = await suite.createRecipientContext({
    recipientKey: to.privateKey, enc: sealed.slice(0, 1120), info: bound,
  });
  const opened = new Uint8Array(await context.open(sealed.slice(1120)));
  if (hex(opened) !== hex(plaintext)) throw new Error(title);
  good.push({
    title, seed: hex(to.seed), private_key: hex(to.expanded), public_key: hex(to.bytes),
    info: hex(bound), sealed: hex(sealed), plaintext: hex(plaintext),
  });
}

const right = await seal(alice, "right", part, info);
const another = await seal(alice, "another", part, info);
const other = (changes) => new CipherSuite({
  kem: kem(), kdf: new HkdfSha256(), aead: new Chacha20Poly1305(), ...changes,
});
const bad = [
  ["to another reader", await seal(bob, "to bob", part, info)],
  ["for another info", await seal(alice, "other info", part, noise("other info", 300))],
  ["for an info that is longer by a zero byte", await seal(alice, "longer", part, join(info, [0]))],
  ["for an info that is shorter by a byte", await seal(alice, "shorter", part, info.slice(0, -1))],
  ["for no info", await seal(alice, "none", part, new Uint8Array())],
  ["with associated data", await seal(alice, "aad", part, info, { aad: noise("aad", 8) })],
  ["with a pre-shared key", await seal(alice, "psk", part, info, {
    psk: { id: noise("psk id", 16), key: noise("psk", 32) },
  })],
  ["as the second message", await seal(alice, "second", part, info, { skip: 1 })],
  ["with AES-256-GCM", await seal(alice, "aes", part, info, {
    using: other({ aead: new Aes256Gcm() }),
  })],
  ["with HKDF-SHA512", await seal(alice, "sha512", part, info, {
    using: other({ kdf: new HkdfSha512() }),
  })],
  ["another's encapsulated key before the ciphertext",
    join(another.slice(0, 1120), right.slice(1120))],
  ["X25519's half of another", join(
    right.slice(0, 1088), another.slice(1088, 1120), right.slice(1120))],
  ["ML-KEM's half of another", join(another.slice(0, 1088), right.slice(1088))],
  ["the halves of the key the other way round", join(
    right.slice(1088, 1120), right.slice(0, 1088), right.slice(1120))],
  ["the ciphertext first", join(right.slice(1120), right.slice(0, 1120))],
  ["a bit of ML-KEM's ciphertext", flipped(right, 0)],
  ["the last bit of ML-KEM's ciphertext", flipped(right, 1087)],
  ["a bit of X25519's public key", flipped(right, 1088)],
  ["a bit of the ciphertext", flipped(right, 1120)],
  ["the last bit of the ciphertext", flipped(right, 1151)],
  ["a bit of the tag", flipped(right, 1152)],
  ["the last bit of the tag", flipped(right, 1167)],
  ["without its last byte", right.slice(0, -1)],
  ["with a byte more", join(right, [0])],
  ["with a byte before it", join([0], right)],
  ["without a tag", right.slice(0, 1152)],
  ["only the encapsulated key", right.slice(0, 1120)],
  ["an X25519 key of low order (RFC 7748, 6.1)", join(
    right.slice(0, 1088), new Uint8Array(32), right.slice(1120))],
  ["nothing", new Uint8Array()],
  ["all zero", new Uint8Array(1168)],
].map(([title, sealed]) => ({
  title, private_key: hex(alice.expanded), info: hex(info), sealed: hex(sealed),
}));

console.log(JSON.stringify({ good, bad }, null, 1));
