// A first verification from Node: TLS, a deadline, retries from one file, and refusals that a program can tell apart.
//
//   heyan testserver -- node verify.mjs ../../../config/service_config.json
//
// The connection is in the environment: HEYAN_ADDRESS, HEYAN_CA_FILE, HEYAN_API_KEY, HEYAN_NOTICE. Node warns of
// DEP0123 where the address is a literal one, as here; with a host name it does not.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const protos = fileURLToPath(new URL('../../../../proto', import.meta.url)); // or your copy of proto/
const { heyan } = grpc.loadPackageDefinition(loader.loadSync('heyan/v1/verification.proto', {
  includeDirs: [protos], keepCase: true, longs: String, enums: String, defaults: true, oneofs: true,
}));

// What a refusal carries in the trailer grpc-status-details-bin.
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }`, { keepCase: true });

// Why Heyan refused, and what to do about it. Never switch on the message.
function refusal(error) {
  const [raw] = error.metadata?.get('grpc-status-details-bin') ?? [];
  for (const detail of raw ? root.lookupType('Status').decode(raw).details : []) {
    if (detail.type_url.endsWith('/google.rpc.ErrorInfo')) {
      const info = root.lookupType('ErrorInfo').decode(detail.value);
      if (info.domain === 'heyan') return { reason: info.reason, handling: info.metadata.handling };
    }
  }
  return {};
}

const key = grpc.credentials.createFromMetadataGenerator((_, done) => {
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${process.env.HEYAN_API_KEY}`);
  done(null, metadata);
});
const tls = grpc.credentials.createSsl(readFileSync(process.env.HEYAN_CA_FILE));
const client = new heyan.v1.VerificationService(process.env.HEYAN_ADDRESS, grpc.credentials.combineChannelCredentials(tls, key), {
  'grpc.service_config': readFileSync(process.argv[2], 'utf8'),
});

// Sends one request within a deadline. entry is its place in the network log, also for a refusal.
function verify(request) {
  return new Promise((resolve, reject) => {
    let answer;
    const call = client.Verify(request, { deadline: Date.now() + 5000 }, (error, response) => { // over all attempts
      if (error) reject(Object.assign(error, { entry: error.metadata.get('heyan-log-entry')[0] }));
      else answer = response.verification;
    });
    call.on('status', (status) => answer && resolve({ ...answer, entry: status.metadata.get('heyan-log-entry')[0] }));
  });
}

// The request_id is yours and is the idempotency key: make it once for each verification, store it with your case
// before the call, and send the same one with every retry.
const request = {
  product: 'id2',
  request_id: `order-${randomUUID()}`,
  fields: { name: '测试一致', id_number: '11010519491231002X' },
  consent: {
    notice: process.env.HEYAN_NOTICE, evidence_ref: `agr-${randomUUID()}`,
    obtain_time: { seconds: Math.floor(Date.now() / 1000) },
  },
};
const first = await verify(request);
console.log('verdict:  ', first.verdict, 'log entry:', first.entry);
const again = await verify(request);
console.log('replayed: ', again.reused, 'same id:', again.id === first.id);

// A wrong check digit is refused before anything is looked up. It gets a request_id of its own.
const wrong = { ...request, request_id: `order-${randomUUID()}`, fields: { ...request.fields, id_number: '110105194912310021' } };
const refused = await verify(wrong).then(() => ({}), (error) => ({ ...refusal(error), entry: error.entry }));
console.log('refused:  ', refused.reason, refused.handling, 'log entry:', refused.entry);
client.close();
if (first.verdict !== 'VERDICT_MATCH' || !again.reused || refused.reason !== 'FIELD_MALFORMED' || !first.entry || !refused.entry) process.exit(1);
