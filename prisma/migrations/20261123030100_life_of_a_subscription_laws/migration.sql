-- What Prisma cannot say of the life of a subscription: tenants, privileges, what no row may be, and what an account reads.

-- ── Row-level security ─────────────────────────────────────────────────────────────────────────────────────
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['allowance_returns', 'reconciliation_findings'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %I TO billfold_app USING (organization_id = (SELECT current_organization_id())) WITH CHECK (organization_id = (SELECT current_organization_id()))', name);
    EXECUTE format('CREATE POLICY platform ON %I TO billfold_platform USING (true) WITH CHECK (true)', name);
    EXECUTE format('GRANT SELECT ON %I TO billfold_app', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO billfold_platform', name);
  END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON reconciliations, stripe_account TO billfold_platform;
GRANT UPDATE (allowance_id, returned, rolled_over) ON credit_grants TO billfold_platform;
GRANT UPDATE (blocked_from) ON credit_accounts TO billfold_platform;

-- ── What no row may be ─────────────────────────────────────────────────────────────────────────────────────
ALTER TABLE stripe_account ADD CONSTRAINT one_row CHECK (id = 1);
ALTER TABLE subscription_plans ADD CONSTRAINT plan_options CHECK (rollover_cap >= 0 AND grace_days >= 0);
ALTER TABLE allowance_returns ADD CONSTRAINT time_given_back CHECK (until_at > from_at AND credits >= 0);
ALTER TABLE allowance_periods ADD CONSTRAINT upgrade_is_whole CHECK ((cause = '') = (total IS NULL) AND (total IS NULL) = (anchor IS NULL) AND coalesce(total, 0) >= 0 AND returned >= 0);

-- ── Ways to find rows that only part of a table needs ──────────────────────────────────────────────────────
CREATE INDEX lots_of_allowances ON credit_grants (allowance_id) WHERE allowance_id IS NOT NULL;
-- Events of one customer are done one after the other, those of one object together; where the body names neither, an event is
-- alone. Events that a person must look at are few among many.
CREATE INDEX events_in_turn ON stripe_events ((coalesce(customer_id, object_id, id)), received_at) WHERE status IN ('received', 'processing', 'failed');
CREATE INDEX events_for_a_person ON stripe_events (received_at) WHERE status IN ('dead', 'quarantined', 'refused');
CREATE INDEX events_quarantined ON stripe_events (customer_id) WHERE status = 'quarantined';
CREATE INDEX events_by_end ON stripe_events (processed_at) WHERE status IN ('done', 'ignored', 'refused');
-- Payments that are overdue, and trials that end soon, are looked at each minute.
CREATE INDEX subscriptions_overdue ON organization_subscriptions (past_due_since) WHERE past_due_since IS NOT NULL;
CREATE UNIQUE INDEX one_reconciliation ON reconciliations ((true)) WHERE status = 'running';

-- ── What an account reads ──────────────────────────────────────────────────────────────────────────────────
-- A process that remembers an account must hear of a block as it does of a suspension.
DROP TRIGGER remembered ON credit_accounts;
CREATE TRIGGER remembered BEFORE UPDATE OF suspended_at, blocked_from ON credit_accounts FOR EACH ROW
  WHEN (NEW.version = OLD.version) EXECUTE FUNCTION raise_own_version();
