-- CreateEnum
CREATE TYPE "stripe_event_source" AS ENUM ('webhook', 'reconciler');

-- CreateEnum
CREATE TYPE "reconciliation_status" AS ENUM ('running', 'done', 'failed');

-- AlterEnum
ALTER TYPE "history_kind" ADD VALUE 'credit_note';

-- AlterEnum
ALTER TYPE "stripe_event_status" ADD VALUE 'quarantined';

-- DropIndex
DROP INDEX "allowance_periods_organization_id_stripe_item_id_period_sta_key";

-- AlterTable
ALTER TABLE "allowance_periods" ADD COLUMN     "amounts" BIGINT[],
ADD COLUMN     "anchor" TIMESTAMPTZ(3),
ADD COLUMN     "cause" TEXT NOT NULL DEFAULT '',
ADD COLUMN     "cuts" BIGINT[],
ADD COLUMN     "returned" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "total" BIGINT;

-- AlterTable
ALTER TABLE "credit_accounts" ADD COLUMN     "blocked_from" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "credit_events" ADD COLUMN     "stripe_meter_id" TEXT;

-- AlterTable
ALTER TABLE "credit_grants" ADD COLUMN     "allowance_id" UUID,
ADD COLUMN     "returned" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "rolled_over" BIGINT NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "organization_subscriptions" ADD COLUMN     "open_invoice" JSONB,
ADD COLUMN     "past_due_since" TIMESTAMPTZ(3),
ADD COLUMN     "pending_change" JSONB,
ADD COLUMN     "resumes_at" TIMESTAMPTZ(3),
ADD COLUMN     "scheduled_change" JSONB,
ADD COLUMN     "stripe_schedule_id" TEXT;

-- AlterTable
ALTER TABLE "stripe_events" ADD COLUMN     "customer_id" TEXT,
ADD COLUMN     "object_id" TEXT,
ADD COLUMN     "replayed_at" TIMESTAMPTZ(3),
ADD COLUMN     "source" "stripe_event_source" NOT NULL DEFAULT 'webhook',
ADD COLUMN     "subscription_id" TEXT,
ADD COLUMN     "target" TEXT;

-- AlterTable
ALTER TABLE "subscription_plans" ADD COLUMN     "grace_days" INTEGER DEFAULT 7,
ADD COLUMN     "rollover_cap" BIGINT;

-- CreateTable
CREATE TABLE "allowance_returns" (
    "organization_id" UUID NOT NULL,
    "stripe_invoice_id" TEXT NOT NULL,
    "stripe_item_id" TEXT NOT NULL,
    "stripe_subscription_id" TEXT NOT NULL,
    "from_at" TIMESTAMPTZ(3) NOT NULL,
    "until_at" TIMESTAMPTZ(3) NOT NULL,
    "credits" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "allowance_returns_pkey" PRIMARY KEY ("organization_id","stripe_invoice_id","stripe_item_id","from_at")
);

-- CreateTable
CREATE TABLE "billing_notices" (
    "organization_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "billing_notices_pkey" PRIMARY KEY ("organization_id","kind","subject")
);

-- CreateTable
CREATE TABLE "reconciliations" (
    "id" UUID NOT NULL,
    "status" "reconciliation_status" NOT NULL,
    "cause" TEXT NOT NULL,
    "cursor" JSONB NOT NULL,
    "checked" INTEGER NOT NULL DEFAULT 0,
    "drift" INTEGER NOT NULL DEFAULT 0,
    "repaired" INTEGER NOT NULL DEFAULT 0,
    "queued" INTEGER NOT NULL DEFAULT 0,
    "error" TEXT,
    "lease_until" TIMESTAMPTZ(3),
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "reconciliations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "reconciliation_findings" (
    "id" UUID NOT NULL,
    "reconciliation_id" UUID NOT NULL,
    "organization_id" UUID,
    "kind" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "message" TEXT NOT NULL,
    "repaired" BOOLEAN NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "reconciliation_findings_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "stripe_account" (
    "id" INTEGER NOT NULL DEFAULT 1,
    "account_id" TEXT NOT NULL,
    "livemode" BOOLEAN NOT NULL,
    "webhook_endpoint_id" TEXT,
    "portal_configuration_id" TEXT,
    "synced_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "stripe_account_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "stripe_events_type_received_at_idx" ON "stripe_events"("type", "received_at");

-- CreateIndex
CREATE INDEX "allowance_returns_organization_id_stripe_item_id_idx" ON "allowance_returns"("organization_id", "stripe_item_id");

-- CreateIndex
CREATE INDEX "reconciliations_started_at_idx" ON "reconciliations"("started_at");

-- CreateIndex
CREATE INDEX "reconciliation_findings_reconciliation_id_idx" ON "reconciliation_findings"("reconciliation_id");

-- CreateIndex
CREATE INDEX "reconciliation_findings_organization_id_at_idx" ON "reconciliation_findings"("organization_id", "at");

-- CreateIndex
CREATE UNIQUE INDEX "allowance_periods_organization_id_stripe_item_id_period_sta_key" ON "allowance_periods"("organization_id", "stripe_item_id", "period_start", "cause");

-- CreateIndex
CREATE UNIQUE INDEX "credit_events_stripe_meter_id_key" ON "credit_events"("stripe_meter_id");
