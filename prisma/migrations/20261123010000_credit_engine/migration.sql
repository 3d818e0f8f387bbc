-- CreateEnum
CREATE TYPE "spent_policy" AS ENUM ('clamp', 'debt', 'suspend');

-- CreateEnum
CREATE TYPE "hold_kind" AS ENUM ('work', 'gift');

-- CreateEnum
CREATE TYPE "budget_scope" AS ENUM ('api_key', 'member', 'project');

-- CreateEnum
CREATE TYPE "budget_window" AS ENUM ('day', 'month', 'total');

-- CreateEnum
CREATE TYPE "bulk_grant_status" AS ENUM ('running', 'done', 'undoing', 'undone');

-- CreateEnum
CREATE TYPE "bulk_grant_row_status" AS ENUM ('pending', 'granted', 'failed', 'undone');

-- AlterEnum
-- This migration adds more than one value to an enum.
-- With PostgreSQL versions 11 and earlier, this is not possible
-- in a single migration. This can be worked around by creating
-- multiple migrations, each migration adding only one value to
-- the enum.


ALTER TYPE "transaction_type" ADD VALUE 'hold';
ALTER TYPE "transaction_type" ADD VALUE 'release';
ALTER TYPE "transaction_type" ADD VALUE 'debt';

-- DropIndex
DROP INDEX "credit_transactions_organization_id_id_key";

-- AlterTable
ALTER TABLE "credit_accounts" ADD COLUMN     "debt" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "last_at" TIMESTAMPTZ(3),
ADD COLUMN     "last_hash" BYTEA,
ADD COLUMN     "suspended_at" TIMESTAMPTZ(3),
ADD COLUMN     "suspended_reason" TEXT,
ADD COLUMN     "version" BIGINT NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "credit_entries" ADD COLUMN     "held" BIGINT NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "credit_event_overrides" DROP CONSTRAINT "credit_event_overrides_pkey",
ADD COLUMN     "effective_from" TIMESTAMPTZ(3) NOT NULL DEFAULT '1970-01-01 00:00:00 +00:00',
ADD COLUMN     "effective_until" TIMESTAMPTZ(3),
ADD COLUMN     "per_units" BIGINT NOT NULL DEFAULT 1,
ADD CONSTRAINT "credit_event_overrides_pkey" PRIMARY KEY ("organization_id", "event_id", "effective_from");

-- AlterTable
ALTER TABLE "credit_events" ADD COLUMN     "active_from" TIMESTAMPTZ(3),
ADD COLUMN     "per_units" BIGINT NOT NULL DEFAULT 1;

-- AlterTable
ALTER TABLE "credit_grants" ADD COLUMN     "to_freeze" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "expired" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "frozen" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "held" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "origin_grant_id" UUID,
ADD COLUMN     "origin_organization_id" UUID,
ADD COLUMN     "origin_source" "grant_source",
ADD COLUMN     "to_take" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "taken" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "transferable" BOOLEAN NOT NULL DEFAULT true,
ADD COLUMN     "transferred" BIGINT NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "credit_transactions" ADD COLUMN     "debt" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "hash" BYTEA,
ADD COLUMN     "held" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "hold_id" UUID,
ADD COLUMN     "member_id" UUID,
ADD COLUMN     "per_units" BIGINT,
ADD COLUMN     "project" TEXT,
ADD COLUMN     "reference" TEXT;

-- AlterTable
ALTER TABLE "organizations" ADD COLUMN     "spent_policy" "spent_policy" NOT NULL DEFAULT 'clamp';

-- CreateTable
CREATE TABLE "ledger_epoch" (
    "id" INTEGER NOT NULL DEFAULT 1,
    "epoch" BIGINT NOT NULL,

    CONSTRAINT "ledger_epoch_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "credit_event_rates" (
    "id" UUID NOT NULL,
    "event_id" UUID NOT NULL,
    "cost" BIGINT NOT NULL,
    "per_units" BIGINT NOT NULL DEFAULT 1,
    "effective_from" TIMESTAMPTZ(3) NOT NULL,
    "version" INTEGER NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "credit_event_rates_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "credit_holds" (
    "organization_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "kind" "hold_kind" NOT NULL DEFAULT 'work',
    "amount" BIGINT NOT NULL,
    "captured" BIGINT NOT NULL DEFAULT 0,
    "remaining" BIGINT NOT NULL,
    "lots" JSONB NOT NULL,
    "budgets" JSONB,
    "open" BOOLEAN NOT NULL DEFAULT true,
    "event_name" TEXT,
    "project" TEXT,
    "member_id" UUID,
    "api_key_id" UUID,
    "actor" TEXT NOT NULL,
    "lease_ends_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "credit_holds_pkey" PRIMARY KEY ("organization_id","id")
);

-- CreateTable
CREATE TABLE "credit_gifts" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "hold_id" UUID NOT NULL,
    "amount" BIGINT NOT NULL,
    "token_hash" TEXT NOT NULL,
    "message" TEXT,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "claimed_at" TIMESTAMPTZ(3),
    "claimed_by" TEXT,
    "claimed_organization_id" UUID,
    "cancelled_at" TIMESTAMPTZ(3),

    CONSTRAINT "credit_gifts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "credit_budgets" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "scope" "budget_scope" NOT NULL,
    "subject" TEXT NOT NULL,
    "window" "budget_window" NOT NULL,
    "limit" BIGINT NOT NULL,
    "active" BOOLEAN NOT NULL DEFAULT true,
    "since_seq" BIGINT NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "credit_budgets_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "credit_budget_usage" (
    "organization_id" UUID NOT NULL,
    "budget_id" UUID NOT NULL,
    "window_start" TIMESTAMPTZ(3) NOT NULL,
    "used" BIGINT NOT NULL,

    CONSTRAINT "credit_budget_usage_pkey" PRIMARY KEY ("organization_id","budget_id","window_start")
);

-- CreateTable
CREATE TABLE "credit_usage_slots" (
    "organization_id" UUID NOT NULL,
    "slot" TIMESTAMPTZ(3) NOT NULL,
    "event_name" TEXT NOT NULL,
    "api_key_id" UUID NOT NULL,
    "project" TEXT NOT NULL,
    "credits" BIGINT NOT NULL,
    "quantity" BIGINT NOT NULL,
    "calls" BIGINT NOT NULL,

    CONSTRAINT "credit_usage_slots_pkey" PRIMARY KEY ("organization_id","slot","event_name","api_key_id","project")
);

-- CreateTable
CREATE TABLE "credit_usage_cursors" (
    "organization_id" UUID NOT NULL,
    "seq" BIGINT NOT NULL,

    CONSTRAINT "credit_usage_cursors_pkey" PRIMARY KEY ("organization_id")
);

-- CreateTable
CREATE TABLE "stripe_payments" (
    "id" TEXT NOT NULL,
    "organization_id" UUID NOT NULL,
    "invoice_id" TEXT,
    "amount" BIGINT NOT NULL,
    "currency" TEXT NOT NULL,
    "refunded" BIGINT NOT NULL DEFAULT 0,
    "disputed" BIGINT NOT NULL DEFAULT 0,
    "lost" BIGINT NOT NULL DEFAULT 0,
    "synced_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "stripe_payments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "bulk_grants" (
    "id" UUID NOT NULL,
    "file_hash" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "status" "bulk_grant_status" NOT NULL,
    "rows" INTEGER NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "bulk_grants_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "bulk_grant_rows" (
    "bulk_id" UUID NOT NULL,
    "line" INTEGER NOT NULL,
    "organization_id" UUID NOT NULL,
    "amount" BIGINT NOT NULL,
    "source" "grant_source" NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "reason" TEXT,
    "status" "bulk_grant_row_status" NOT NULL,
    "error" TEXT,
    "grant_id" UUID,
    "taken_back" BIGINT,

    CONSTRAINT "bulk_grant_rows_pkey" PRIMARY KEY ("bulk_id","line")
);

-- CreateIndex
CREATE UNIQUE INDEX "credit_event_rates_event_id_effective_from_key" ON "credit_event_rates"("event_id", "effective_from");

-- CreateIndex
CREATE UNIQUE INDEX "credit_gifts_token_hash_key" ON "credit_gifts"("token_hash");

-- CreateIndex
CREATE INDEX "credit_gifts_organization_id_created_at_idx" ON "credit_gifts"("organization_id", "created_at");

-- CreateIndex
CREATE INDEX "credit_budgets_organization_id_idx" ON "credit_budgets"("organization_id");

-- CreateIndex
CREATE INDEX "stripe_payments_organization_id_idx" ON "stripe_payments"("organization_id");

-- CreateIndex
CREATE INDEX "stripe_payments_invoice_id_idx" ON "stripe_payments"("invoice_id");

-- CreateIndex
CREATE UNIQUE INDEX "bulk_grants_file_hash_key" ON "bulk_grants"("file_hash");

-- CreateIndex
CREATE INDEX "bulk_grant_rows_organization_id_idx" ON "bulk_grant_rows"("organization_id");

-- AddForeignKey
ALTER TABLE "credit_event_rates" ADD CONSTRAINT "credit_event_rates_event_id_fkey" FOREIGN KEY ("event_id") REFERENCES "credit_events"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
