// Lists, starts, waits for and cancels jobs, by a client that holds each answer to the contract that it was generated from.
//
//	SPIDER_API_URL=… SPIDER_API_KEY=… npm start -- SPIDER [ARGUMENTS [LONG-ARGUMENTS]]
//
// SPIDER is the name of a spider that ends with ARGUMENTS, a JSON object, and takes its time with LONG-ARGUMENTS.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { client } from "./generated/client.gen.js";
import { cancelJob, getJob, listJobs, startJob } from "./generated/sdk.gen.js";
import type { Job } from "./generated/types.gen.js";

const { SPIDER_API_URL, SPIDER_API_KEY } = process.env;
const [spider, briefly = "{}", lengthily = briefly] = process.argv.slice(2);
assert(SPIDER_API_URL && SPIDER_API_KEY, "SPIDER_API_URL and SPIDER_API_KEY have to be set");
assert(spider, "usage: npm start -- SPIDER [ARGUMENTS [LONG-ARGUMENTS]]");
client.setConfig({ baseUrl: SPIDER_API_URL, auth: SPIDER_API_KEY });

async function start(args: Record<string, unknown>): Promise<string> {
  const { data } = await startJob({ body: { spider_name: spider, arguments: args }, throwOnError: true });
  assert.equal(data.status, "pending");
  return data.jobId;
}

/** Waits until nothing of a job runs any more. */
async function ended(id: string): Promise<Job> {
  for (let patience = 10; patience > 0; patience--) {
    const { data } = await getJob({ path: { id }, query: { wait: "30s" }, throwOnError: true });
    if (data.finished_at !== undefined) {
      return data;
    }
  }
  throw new Error(`job ${id} does not end`);
}

const finished = await ended(await start(JSON.parse(briefly)));
assert.equal(finished.status, "finished");
console.log(`finished ${finished.id} ${finished.items_scraped}`);

const id = await start(JSON.parse(lengthily));
const { data: answer } = await cancelJob({ path: { id }, throwOnError: true });
assert.equal(answer.message, "Job cancelled");
const cancelled = await ended(id);
assert.equal(cancelled.status, "cancelled");
console.log(`cancelled ${cancelled.id}`);

const { data: jobs } = await listJobs({ query: { spider_name: spider, limit: 100 }, throwOnError: true });
for (const job of [finished, cancelled]) {
  assert.equal(jobs.find((other) => other.id === job.id)?.status, job.status);
}

const unknown = await getJob({ path: { id: randomUUID() } });
assert.equal(unknown.response?.status, 404);
assert(unknown.error, "an unknown job is an error");
console.log("listed both, and was told of one that is unknown");
