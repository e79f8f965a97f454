// Sends and collects with the npm package nhs-mesh-client, through TLS with client certificates, and prints what came.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const at = process.env;
const entry = createRequire(at.OPENSPINE_NODE_ROOT + "/package.json").resolve("nhs-mesh-client");
const mesh = await import(pathToFileURL(entry));
const agent = (who) => new Agent({ ca: readFileSync(at.CA), cert: readFileSync(`${at.CERTS}/${who}.pem`), key: readFileSync(`${at.CERTS}/${who}.key`) });
const sender = { url: at.URL, mailboxID: "X26ABC1", mailboxPassword: "password", sharedKey: "TestKey", agent: agent("X26") };
const recipient = { ...sender, mailboxID: "X26ABC3", agent: agent("X27") };
const digest = (s) => createHash("sha256").update(s).digest("hex");

const out = {};
out.shake = (await mesh.handShake(sender)).status;
const simple = await mesh.sendMessage({ ...sender, message: "This is a test", mailboxTarget: "X26ABC3" });
const zipped = await mesh.sendMessage({ ...sender, message: "This is compressed", mailboxTarget: "X26ABC3", compressed: true });
let text = "";
for (let i = 0; text.length < 11 * 1024 * 1024; i++) text += digest(String(i));
const chunked = await mesh.sendChunkedMessage({ ...sender, mailboxTarget: "X26ABC3", fileContent: Buffer.from(text) });
out.sent = [simple.status, zipped.status, chunked.status];
const ids = [simple, zipped, chunked].map((r) => r.data.message_id);
let inbox;
for (let i = 0; i < 100; i++) {
  inbox = (await mesh.getMessageCount(recipient)).data;
  if (inbox.messages.length >= 3) break;
  await new Promise((done) => setTimeout(done, 50));
}
out.waiting = inbox.messages.length;
out.read = [];
for (const messageID of ids) {
  const m = await mesh.readMessage({ ...recipient, messageID });
  out.read.push({ status: m.status, from: m.headers["mex-from"], text: m.data.length < 100 ? m.data : m.data === text ? "the same" : `other: ${m.data.length} of ${text.length}` });
  out.acknowledged = (await mesh.markAsRead({ ...recipient, message: messageID })).status;
}
out.left = (await mesh.getMessageCount(recipient)).data.messages.length;
console.log(JSON.stringify(out));
process.exit(0);
