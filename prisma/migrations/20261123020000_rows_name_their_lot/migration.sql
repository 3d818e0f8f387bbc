-- AlterTable
ALTER TABLE "credit_transactions" ADD COLUMN     "grant_id" UUID,
ADD COLUMN     "lot_after" BIGINT,
ADD COLUMN     "starts_run" BOOLEAN;

