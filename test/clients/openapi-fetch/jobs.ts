// Lists, starts, waits for and cancels jobs, as a program of somebody else's would. What it may send and what it gets is typed
// by the contract that the server serves, and checked by the compiler.
//
//	SPIDER_API_URL=… SPIDER_API_KEY=… npm start -- SPIDER [ARGUMENTS [LONG-ARGUMENTS]]
//
// SPIDER is the name of a spider that ends with ARGUMENTS, a JSON object, and takes its time with LONG-ARGUMENTS.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api.js";

type Job = components["schemas"]["Job"];
type Arguments = NonNullable<components["schemas"]["StartJob"]["arguments"]>;
type Expectations = components["schemas"]["Expectations"];

const { SPIDER_API_URL, SPIDER_API_KEY } = process.env;
const [spider, briefly = "{}", lengthily = briefly] = process.argv.slice(2);
assert(SPIDER_API_URL && SPIDER_API_KEY, "SPIDER_API_URL and SPIDER_API_KEY have to be set");
assert(spider, "usage: npm start -- SPIDER [ARGUMENTS [LONG-ARGUMENTS]]");

const api = createClient<paths>({ baseUrl: SPIDER_API_URL, headers: { Authorization: `Bearer ${SPIDER_API_KEY}` } });

/** Returns the body of an answer, which has to be a success. */
function answer<T>(of: string, { data, error, response }: { data?: T; error?: unknown; response: Response }): T {
  if (data === undefined) {
    throw new Error(`${of}: answered ${response.status} ${JSON.stringify(error)}`);
  }
  return data;
}

async function start(args: Arguments, expectations: Expectations = null): Promise<string> {
  const body = { spider_name: spider, arguments: args, expectations };
  const started = answer("start", await api.POST("/api/v1/jobs", { body }));
  assert.equal(started.status, "pending");
  return started.jobId;
}

/** Waits until nothing of a job runs any more. */
async function ended(id: string): Promise<Job> {
  for (let patience = 10; patience > 0; patience--) {
    const job = answer("wait", await api.GET("/api/v1/jobs/{id}", { params: { path: { id }, query: { wait: "30s" } } }));
    if (job.finished_at !== undefined) {
      return job;
    }
  }
  throw new Error(`job ${id} does not end`);
}

/** Finds a job in a list. Where the server has replicas, one may hear of its end a moment later than another. */
async function listed(job: Job): Promise<Job | undefined> {
  const query = { spider_name: spider, status: [job.status], limit: 100 };
  for (let patience = 50; patience > 0; patience--) {
    const found = answer("list", await api.GET("/api/v1/jobs", { params: { query } })).find((other) => other.id === job.id);
    if (found?.finished_at !== undefined) {
      return found;
    }
    await setTimeout(100);
  }
  return undefined;
}

const finished = await ended(await start(JSON.parse(briefly), { min_items: 1, on_violation: "report" }));
assert.equal(finished.status, "finished", JSON.stringify(finished));
assert.notEqual(finished.expectations?.met, false, JSON.stringify(finished.expectations?.violations));
console.log(`finished ${finished.id} ${finished.items_scraped}`);

const id = await start(JSON.parse(lengthily));
const { ok, message } = answer("cancel", await api.DELETE("/api/v1/jobs/{id}", { params: { path: { id } } }));
assert.deepEqual({ ok, message }, { ok: true, message: "Job cancelled" });
const cancelled = await ended(id);
assert.equal(cancelled.status, "cancelled", JSON.stringify(cancelled));
console.log(`cancelled ${cancelled.id}`);

for (const job of [finished, cancelled]) {
  const { arguments: _, ...shown } = job; // lists leave them out, and say so
  assert.deepEqual(await listed(job), { ...shown, arguments_omitted: true });
}

const unknown = await api.GET("/api/v1/jobs/{id}", { params: { path: { id: randomUUID() } } });
assert.equal(unknown.response.status, 404);
assert(unknown.error?.code, "an error has a code");
console.log("listed both, and was told of one that is unknown");
