// The webhook endpoint for whoever keeps its id and secret in a file of its own: the demo, and tests.
export { ensureWebhookEndpoint } from "~/server/billing/stripe-catalogue";
