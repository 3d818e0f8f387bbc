// `npm run worker`: jobs in a process of their own, next to web processes that run with BILLFOLD_WORKER=off.
import "./load-env";
import { startWorker } from "~/server/jobs/worker";

const runner = await startWorker();
console.log("The worker is running. Ctrl-C ends it after the jobs at hand.");
await runner.promise;
