// Drives a daemon with nothing but its address: the schema comes by reflection.
//
//     node drive.cjs unix:/run/synproxy/api.sock
//
// Creates, changes and deletes the service "driven", and writes as JSON what came of it:
// {services: [names by reflection], listed, created, relisted, updated, stale: code, deleted,
// watched}.
"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const WITHIN_MS = 10_000;
// What this client has to know beforehand (grpc/reflection/v1alpha/reflection.proto).
const REFLECTION = protobuf.parse(`
  syntax = "proto3";
  message Request { oneof ask { string file_containing_symbol = 4; string list_services = 7; } }
  message Files { repeated bytes file_descriptor_proto = 1; }
  message Name { string name = 1; }
  message Names { repeated Name service = 1; }
  message Failure { int32 error_code = 1; string error_message = 2; }
  message Response {
    Files file_descriptor_response = 4;
    Names list_services_response = 6;
    Failure error_response = 7;
  }
`, { keepCase: true }).root;
const Request = REFLECTION.lookupType("Request");
const Response = REFLECTION.lookupType("Response");
const REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

function reflect(client, questions) {
  return new Promise((answered, failed) => {
    const answers = [];
    const call = client.makeBidiStreamRequest(
      REFLECT, (value) => Buffer.from(Request.encode(value).finish()),
      (bytes) => Response.decode(bytes), { deadline: Date.now() + WITHIN_MS });
    call.on("data", (answer) => {
      if (answer.error_response) failed(new Error(answer.error_response.error_message));
      answers.push(answer);
      if (answers.length === questions.length) call.end();
    });
    call.on("error", failed);
    call.on("end", () => answered(answers));
    for (const question of questions) call.write(Request.create(question));
  });
}

async function schema(client) {
  const [listed] = await reflect(client, [{ list_services: "" }]);
  const services = listed.list_services_response.service.map((one) => one.name).sort();
  const answers = await reflect(
    client, services.map((name) => ({ file_containing_symbol: name })));
  const files = new Map();      // each once, by its bytes: answers share dependencies
  for (const answer of answers) {
    for (const file of answer.file_descriptor_response.file_descriptor_proto) {
      files.set(Buffer.from(file).toString("base64"), file);
    }
  }
  const set = protobuf.Writer.create();     // google.protobuf.FileDescriptorSet: file = 1
  for (const file of files.values()) set.uint32(10).bytes(file);
  return {
    services,
    types: grpc.loadPackageDefinition(loader.loadFileDescriptorSetFromBuffer(
      Buffer.from(set.finish()), { keepCase: true, longs: Number, enums: String, defaults: true })),
  };
}

function call(stub, method, request) {
  return new Promise((answered, failed) => {
    stub[method](request, { deadline: Date.now() + WITHIN_MS },
      (error, answer) => error ? failed(error) : answered(answer));
  });
}

// The stream's events as they come; `until(kind)` waits for one.
function watch(stub) {
  const seen = [];
  const waiting = [];
  const stream = stub.WatchServices({}, { deadline: Date.now() + WITHIN_MS });
  stream.on("data", (event) => {
    seen.push([event.kind, event.service ? event.service.name : ""]);
    for (const one of waiting) one();
  });
  const ended = new Promise((resolve) => stream.on("error", (error) => resolve(error.code)));
  const until = (kind) => new Promise((found, failed) => {
    const look = () => seen.some(([each]) => each === kind) && found();
    waiting.push(look);
    ended.then((code) => failed(new Error(`the watch ended with code ${code}`)));
    look();
  });
  return { seen, until, cancel: () => { stream.cancel(); return ended; } };
}

// The names of all services, page by page.
async function names(stub) {
  const found = [];
  let page_token = "";
  do {
    const page = await call(stub, "ListServices",
      { page_size: 1, page_token, read_mask: { paths: ["name"] } });
    found.push(...page.services.map((one) => one.name));
    page_token = page.next_page_token;
  } while (page_token);
  return found;
}

async function drive(address) {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const { services, types } = await schema(client);
  const stub = new types.synproxy.v1.ServicesService(address, grpc.credentials.createInsecure());
  const watched = watch(stub);
  await watched.until("KIND_END_OF_EXISTING");

  const listed = await names(stub);
  const created = await call(stub, "CreateService", {
    service: { name: "driven", prefixes: ["198.51.100.7"], ports: ["8443"], options: { mss: 1300 } },
  });
  const relisted = await names(stub);
  const change = {
    service: { name: "driven", options: { mss: 1200 }, etag: created.service.etag },
    update_mask: { paths: ["options.mss"] },
  };
  const updated = await call(stub, "UpdateService", change);
  const stale = await call(stub, "UpdateService", change).then(() => 0, (error) => error.code);
  const deleted = await call(stub, "DeleteService", { name: "driven" });
  await watched.until("KIND_DELETED");
  await watched.cancel();
  client.close();
  stub.close();
  return { services, listed, created, relisted, updated, stale, deleted, watched: watched.seen };
}

drive(process.argv[2]).then(
  (result) => console.log(JSON.stringify(result)),
  (error) => { console.error(String(error)); process.exitCode = 1; });
