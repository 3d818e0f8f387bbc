-- The laws that Prisma cannot state: roles and row-level security, the append-only ledger, and what no row may be.

-- ── Roles ──────────────────────────────────────────────────────────────────────────────────────────────────
-- A transaction of the application runs as one of these. They own nothing, cannot log in, and cannot bypass row security.
-- Roles belong to the whole cluster: another database of it may have made them already.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['billfold_app', 'billfold_platform'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- another migration was quicker
      END;
    END IF;
    IF NOT EXISTS (
      SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
      WHERE r.rolname = name AND u.rolname = current_user AND (to_jsonb(m) ->> 'set_option') IS DISTINCT FROM 'false'
    ) THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', name);
    END IF;
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO billfold_app, billfold_platform;

-- ── Row-level security ─────────────────────────────────────────────────────────────────────────────────────
-- The tenant of the running transaction; null when nothing is set, and null equals nothing.
CREATE FUNCTION current_organization_id() RETURNS uuid
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('app.organization_id', true), '')::uuid $$;

DO $$
DECLARE
  name text;
BEGIN
  FOR name IN
    SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND c.column_name = 'organization_id' AND t.table_type = 'BASE TABLE'
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    -- An equality with a sub-select is planned once for a statement; `= any(array)` walked whole histories.
    EXECUTE format('CREATE POLICY tenant ON %I TO billfold_app USING (organization_id = (SELECT current_organization_id())) WITH CHECK (organization_id = (SELECT current_organization_id()))', name);
    EXECUTE format('CREATE POLICY platform ON %I TO billfold_platform USING (true) WITH CHECK (true)', name);
    EXECUTE format('GRANT SELECT ON %I TO billfold_app', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO billfold_platform', name);
  END LOOP;
END $$;

ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON organizations TO billfold_app USING (id = (SELECT current_organization_id())) WITH CHECK (id = (SELECT current_organization_id()));
CREATE POLICY platform ON organizations TO billfold_platform USING (true) WITH CHECK (true);

-- An organization sees the people who are its members, and nobody else.
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users FOR SELECT TO billfold_app USING (id IN (SELECT user_id FROM memberships));
CREATE POLICY platform ON users TO billfold_platform USING (true) WITH CHECK (true);

-- ── Privileges: what the application itself writes; the rest is written by the platform ────────────────────
GRANT SELECT, UPDATE (name, burn_order) ON organizations TO billfold_app;
GRANT SELECT ON users TO billfold_app;
GRANT INSERT, UPDATE, DELETE ON memberships TO billfold_app;
GRANT INSERT, UPDATE ON invitations, api_keys, checkout_sessions TO billfold_app;
GRANT SELECT ON subscription_plans, plan_prices, credit_events, credit_products, credit_product_prices TO billfold_app;
GRANT UPDATE (balance, held, last_seq, updated_at) ON credit_accounts TO billfold_app;
GRANT UPDATE (remaining, open) ON credit_grants TO billfold_app;
GRANT INSERT ON credit_transactions, credit_entries TO billfold_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON
  users, organizations, auth_accounts, auth_sessions, auth_verification_tokens,
  subscription_plans, plan_prices, credit_events, credit_products, credit_product_prices
TO billfold_platform;

-- ── The ledger is append-only ──────────────────────────────────────────────────────────────────────────────
REVOKE UPDATE, DELETE, TRUNCATE ON credit_transactions, credit_entries FROM PUBLIC, billfold_app, billfold_platform;
REVOKE UPDATE, DELETE, TRUNCATE ON credit_grants, credit_accounts FROM billfold_platform;
GRANT UPDATE (remaining, open) ON credit_grants TO billfold_platform;
GRANT UPDATE (balance, held, last_seq, updated_at) ON credit_accounts TO billfold_platform;

CREATE FUNCTION refuse_ledger_change() RETURNS trigger
  LANGUAGE plpgsql
  AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = 'Correct an entry with a new one that names it.';
END $$;

-- For each statement, not each row: it fires for the owner even where row security leaves no row to touch.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_transactions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

-- ── What no row may be ─────────────────────────────────────────────────────────────────────────────────────
ALTER TABLE credit_grants
  ADD CONSTRAINT lot_within_bounds CHECK (amount > 0 AND remaining >= 0 AND remaining <= amount),
  ADD CONSTRAINT lot_open_while_left CHECK (open = (remaining > 0));
ALTER TABLE credit_accounts
  ADD CONSTRAINT balance_not_negative CHECK (balance >= 0),
  ADD CONSTRAINT held_within_balance CHECK (held >= 0 AND held <= balance);
ALTER TABLE credit_transactions
  ADD CONSTRAINT amount_moves CHECK (amount <> 0),
  ADD CONSTRAINT running_total_not_negative CHECK (balance_after >= 0 AND available_after >= 0 AND available_after <= balance_after),
  ADD CONSTRAINT seq_positive CHECK (seq > 0),
  ADD CONSTRAINT consume_names_its_event CHECK (type <> 'consume' OR (amount < 0 AND event_id IS NOT NULL AND event_name IS NOT NULL AND quantity > 0 AND unit_cost > 0));
ALTER TABLE credit_entries ADD CONSTRAINT entry_moves CHECK (amount <> 0 AND position > 0 AND lot_after >= 0);
ALTER TABLE credit_events ADD CONSTRAINT cost_positive CHECK (cost > 0);
ALTER TABLE credit_event_overrides ADD CONSTRAINT override_cost_positive CHECK (cost > 0);
ALTER TABLE credit_products ADD CONSTRAINT pack_positive CHECK (credits > 0);
ALTER TABLE subscription_plans ADD CONSTRAINT plan_amounts CHECK (credits >= 0 AND trial_credits >= 0 AND trial_days >= 0);
ALTER TABLE plan_prices ADD CONSTRAINT price_not_negative CHECK (unit_amount >= 0 AND currency = lower(currency));
ALTER TABLE credit_product_prices ADD CONSTRAINT pack_price_positive CHECK (unit_amount > 0 AND currency = lower(currency));
ALTER TABLE allowance_periods ADD CONSTRAINT slices_within_period CHECK (period_end > period_start AND slices > 0 AND slices_granted BETWEEN 0 AND slices AND credits >= 0);
ALTER TABLE organization_subscriptions ADD CONSTRAINT period_forward CHECK (current_period_end >= current_period_start);
ALTER TABLE users ADD CONSTRAINT email_lower_case CHECK (email = lower(email));
ALTER TABLE invitations ADD CONSTRAINT invited_email_lower_case CHECK (email = lower(email));

-- One live subscription per organization. One that was never paid (pending) gives no access and stands in nobody's way.
CREATE UNIQUE INDEX one_live_subscription ON organization_subscriptions (organization_id) WHERE status IN ('trial', 'active', 'past_due', 'paused');
CREATE UNIQUE INDEX one_open_invitation ON invitations (organization_id, email) WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE UNIQUE INDEX one_open_alert ON billing_alerts (organization_id, kind, subject) NULLS NOT DISTINCT WHERE resolved_at IS NULL;
CREATE UNIQUE INDEX one_active_plan_price ON plan_prices (plan_id, interval, currency) WHERE active;
CREATE UNIQUE INDEX one_active_pack_price ON credit_product_prices (product_id, currency) WHERE active;

-- ── Ways to find rows that only part of a table needs ──────────────────────────────────────────────────────
-- On the flag, not on `remaining > 0`: an index that does not hold `remaining` lets its updates stay within the page.
CREATE INDEX open_lots ON credit_grants (organization_id) WHERE open;
CREATE INDEX lots_by_expiry ON credit_grants (expires_at) WHERE open AND expires_at IS NOT NULL;
CREATE INDEX events_to_process ON stripe_events (received_at) WHERE status IN ('received', 'processing', 'failed');
CREATE INDEX slices_due ON allowance_periods (next_slice_at) WHERE next_slice_at IS NOT NULL AND stopped_at IS NULL;
CREATE INDEX consumed_by_time ON credit_transactions (organization_id, created_at) WHERE type = 'consume';

ALTER TABLE credit_accounts SET (fillfactor = 50);
ALTER TABLE credit_grants SET (fillfactor = 50);

-- ── Jobs ───────────────────────────────────────────────────────────────────────────────────────────────────
-- The one way in which a transaction asks for work after its commit. The queue's tables belong to the owner, so this
-- runs as the owner; where the queue is not installed yet, the sweep finds the work later.
CREATE FUNCTION enqueue_job(task text, payload json, job_key text, run_at timestamptz) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
  AS $$
BEGIN
  IF to_regclass('graphile_worker._private_jobs') IS NOT NULL THEN
    PERFORM graphile_worker.add_job(task, payload, run_at => run_at, job_key => job_key, max_attempts => 25);
  END IF;
END $$;
REVOKE EXECUTE ON FUNCTION enqueue_job(text, json, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enqueue_job(text, json, text, timestamptz) TO billfold_app, billfold_platform;

-- Frees the jobs of workers that died, by the queue's own function.
CREATE FUNCTION release_dead_workers(held_for interval) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
  AS $$
DECLARE
  dead text[];
BEGIN
  SELECT array_agg(DISTINCT locked_by) INTO dead FROM graphile_worker.jobs WHERE locked_at < clock_timestamp() - held_for;
  IF dead IS NOT NULL THEN
    PERFORM graphile_worker.force_unlock_workers(dead);
  END IF;
END $$;
REVOKE EXECUTE ON FUNCTION release_dead_workers(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION release_dead_workers(interval) TO billfold_platform;
