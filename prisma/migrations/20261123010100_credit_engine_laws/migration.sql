-- What Prisma cannot state of the credit engine: tenants, privileges, what no row may be, and the functions by which the
-- ledger is loaded and written. They lock, load and write; what is to be written is decided in `src/domain`.

-- ── Tenants ────────────────────────────────────────────────────────────────────────────────────────────────
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['credit_holds', 'credit_gifts', 'credit_budgets', 'credit_budget_usage', 'credit_usage_slots',
    'credit_usage_cursors', 'stripe_payments', 'bulk_grant_rows'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %I TO billfold_app USING (organization_id = (SELECT current_organization_id())) WITH CHECK (organization_id = (SELECT current_organization_id()))', name);
    EXECUTE format('CREATE POLICY platform ON %I TO billfold_platform USING (true) WITH CHECK (true)', name);
    EXECUTE format('GRANT SELECT ON %I TO billfold_app', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO billfold_platform', name);
  END LOOP;
END $$;
GRANT SELECT ON credit_event_rates TO billfold_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON credit_event_rates, bulk_grants TO billfold_platform;
GRANT UPDATE (debt, last_at, last_hash, version, suspended_at, suspended_reason) ON credit_accounts TO billfold_platform;
GRANT UPDATE (held, frozen, to_take, taken, to_freeze, transferred, expired) ON credit_grants TO billfold_platform;

-- ── What no row may be ─────────────────────────────────────────────────────────────────────────────────────
ALTER TABLE credit_accounts ADD CONSTRAINT debt_not_negative CHECK (debt >= 0);
ALTER TABLE credit_grants
  ADD CONSTRAINT held_within_lot CHECK (held >= 0 AND held <= remaining AND frozen >= 0 AND frozen <= held),
  ADD CONSTRAINT claims_within_lot CHECK (to_take BETWEEN 0 AND amount AND taken BETWEEN 0 AND amount AND to_freeze BETWEEN 0 AND amount AND transferred BETWEEN 0 AND amount AND expired BETWEEN 0 AND amount);
ALTER TABLE credit_transactions
  DROP CONSTRAINT amount_moves,
  DROP CONSTRAINT consume_names_its_event,
  ADD CONSTRAINT row_moves CHECK (amount <> 0 OR held <> 0 OR debt <> 0),
  ADD CONSTRAINT consume_names_its_event CHECK (type::text <> 'consume' OR (amount < 0 AND ((event_id IS NOT NULL AND event_name IS NOT NULL AND quantity > 0 AND unit_cost > 0) OR hold_id IS NOT NULL)));
ALTER TABLE credit_entries
  DROP CONSTRAINT entry_moves,
  ADD CONSTRAINT entry_moves CHECK ((amount <> 0 OR held <> 0) AND position > 0 AND lot_after >= 0);
ALTER TABLE credit_holds ADD CONSTRAINT hold_within_amount CHECK (amount > 0 AND captured >= 0 AND remaining >= 0 AND (open OR remaining = 0));
ALTER TABLE credit_gifts ADD CONSTRAINT gift_positive CHECK (amount > 0);
ALTER TABLE credit_budgets ADD CONSTRAINT limit_not_negative CHECK ("limit" >= 0);
ALTER TABLE credit_budget_usage ADD CONSTRAINT used_not_negative CHECK (used >= 0);
ALTER TABLE credit_events ADD CONSTRAINT per_units_positive CHECK (per_units > 0);
ALTER TABLE credit_event_rates ADD CONSTRAINT rate_positive CHECK (cost > 0 AND per_units > 0);
ALTER TABLE credit_event_overrides ADD CONSTRAINT override_per_units_positive CHECK (per_units > 0);
ALTER TABLE stripe_payments ADD CONSTRAINT payment_amounts CHECK (amount >= 0 AND refunded >= 0 AND disputed >= 0 AND lost >= 0);
ALTER TABLE bulk_grant_rows ADD CONSTRAINT bulk_amount_positive CHECK (amount > 0);
CREATE UNIQUE INDEX one_active_budget ON credit_budgets (organization_id, scope, subject, "window") WHERE active;

-- ── Ways to find rows ──────────────────────────────────────────────────────────────────────────────────────
-- Instants follow `seq`, so a time is found by bisecting the primary key; the index by time is not needed any more.
DROP INDEX consumed_by_time;
-- What is not a take: a few rows among millions (what was owed, taken by hand, granted, at some instant).
CREATE INDEX rare_rows ON credit_transactions (organization_id, type, seq) WHERE type <> 'consume';
-- What was set aside of a lot at an instant of the past.
CREATE INDEX held_entries ON credit_entries (organization_id, grant_id, transaction_seq) INCLUDE (held) WHERE held <> 0;
CREATE INDEX corrections ON credit_transactions (organization_id, corrects_seq) WHERE corrects_seq IS NOT NULL;
CREATE INDEX rows_of_holds ON credit_transactions (organization_id, hold_id) WHERE hold_id IS NOT NULL;
CREATE INDEX lots_by_payment ON credit_grants (stripe_payment_id) WHERE stripe_payment_id IS NOT NULL;
CREATE INDEX lots_by_invoice ON credit_grants (stripe_invoice_id) WHERE stripe_invoice_id IS NOT NULL;
CREATE INDEX accounts_suspended ON credit_accounts (organization_id) WHERE suspended_at IS NOT NULL;
CREATE INDEX open_holds ON credit_holds (organization_id) WHERE open;
CREATE INDEX leases_by_end ON credit_holds (lease_ends_at) WHERE open;
CREATE INDEX bulk_rows_pending ON bulk_grant_rows (bulk_id, line) WHERE status = 'pending';

-- ── What processes may remember ────────────────────────────────────────────────────────────────────────────
-- A process may remember the rate card, keys and accounts. Each of its writes says which epoch of the common part and
-- which version of an account it was decided on; whatever changes them otherwise raises these numbers here.
ALTER TABLE ledger_epoch ADD CONSTRAINT one_row CHECK (id = 1);
INSERT INTO ledger_epoch (epoch) VALUES (1);
GRANT SELECT ON ledger_epoch TO billfold_app, billfold_platform;

CREATE FUNCTION raise_ledger_epoch() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
  AS $$
BEGIN
  UPDATE public.ledger_epoch SET epoch = epoch + 1;
  RETURN NULL;
END $$;

CREATE TRIGGER remembered AFTER INSERT OR UPDATE OR DELETE ON credit_events FOR EACH STATEMENT EXECUTE FUNCTION raise_ledger_epoch();
CREATE TRIGGER remembered AFTER INSERT OR UPDATE OR DELETE ON credit_event_rates FOR EACH STATEMENT EXECUTE FUNCTION raise_ledger_epoch();

CREATE FUNCTION raise_account_version() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
  AS $$
DECLARE
  changed jsonb := to_jsonb(coalesce(NEW, OLD));
  organization uuid := coalesce(changed ->> 'organization_id', CASE WHEN TG_TABLE_NAME = 'organizations' THEN changed ->> 'id' END)::uuid;
BEGIN
  IF organization IS NULL THEN
    UPDATE public.ledger_epoch SET epoch = epoch + 1;
  ELSE
    UPDATE public.credit_accounts SET version = version + 1 WHERE organization_id = organization;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER remembered AFTER UPDATE OF burn_order, spent_policy, deleted_at ON organizations FOR EACH ROW EXECUTE FUNCTION raise_account_version();
CREATE TRIGGER remembered AFTER UPDATE OF revoked_at, key_hash, organization_id OR DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION raise_account_version();
CREATE TRIGGER remembered AFTER INSERT OR UPDATE OR DELETE ON credit_event_overrides FOR EACH ROW EXECUTE FUNCTION raise_account_version();
CREATE TRIGGER remembered AFTER INSERT OR UPDATE OR DELETE ON credit_budgets FOR EACH ROW EXECUTE FUNCTION raise_account_version();
-- Never by the engine, whose writes name other columns; by hand, perhaps.
CREATE TRIGGER remembered AFTER UPDATE OF source, amount, expires_at, created_at OR DELETE ON credit_grants FOR EACH ROW EXECUTE FUNCTION raise_account_version();

-- A suspension by hand is a change that processes must hear of, too.
CREATE FUNCTION raise_own_version() RETURNS trigger
  LANGUAGE plpgsql
  AS $$
BEGIN
  NEW.version := NEW.version + 1;
  RETURN NEW;
END $$;
CREATE TRIGGER remembered BEFORE UPDATE OF suspended_at, balance, held, debt ON credit_accounts FOR EACH ROW
  WHEN (NEW.version = OLD.version) EXECUTE FUNCTION raise_own_version();

-- ── Loading ────────────────────────────────────────────────────────────────────────────────────────────────
-- Instants are milliseconds since 1970.
-- Stable, as what they call is: an immutable one would not be inlined, and cost more than the reading itself.
CREATE FUNCTION ledger_ms(at timestamptz) RETURNS bigint
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT (date_part('epoch', at) * 1000)::bigint $$;

-- A lot, its columns in the order in which the rule reads them.
CREATE FUNCTION ledger_lot(g credit_grants) RETURNS json
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT json_build_array(g.id, g.source, g.remaining, g.held, ledger_ms(g.expires_at), ledger_ms(g.created_at), g.label, g.amount, g.frozen,
    g.to_take, g.taken, g.to_freeze, g.transferred, g.expired, g.transferable, g.origin_source) $$;

-- An account as the rule needs it, in one snapshot.
CREATE FUNCTION ledger_read(p_organizations uuid[]) RETURNS TABLE (state json)
  LANGUAGE sql STABLE
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  AS $$
  SELECT json_build_object(
    'organizationId', a.organization_id, 'version', a.version, 'epoch', (SELECT epoch FROM ledger_epoch),
    'deleted', o.deleted_at IS NOT NULL, 'burnOrder', o.burn_order, 'spentPolicy', o.spent_policy, 'suspended', a.suspended_at IS NOT NULL,
    'balance', a.balance, 'held', a.held, 'debt', a.debt, 'lastSeq', a.last_seq, 'lastAt', ledger_ms(a.last_at), 'lastHash', encode(a.last_hash, 'hex'),
    'lots', (SELECT json_agg(ledger_lot(g))
      FROM credit_grants g WHERE g.organization_id = a.organization_id AND g.open),
    'holds', (SELECT json_agg(json_build_array(h.id, h.kind, h.amount, h.captured, h.remaining, h.lots, h.budgets,
        ledger_ms(h.lease_ends_at), h.event_name, h.project, h.member_id, h.api_key_id, h.actor, ledger_ms(h.created_at)))
      FROM credit_holds h WHERE h.organization_id = a.organization_id AND h.open),
    'budgets', (SELECT json_agg(json_build_array(b.id, b.scope, b.subject, b."window", b."limit", b.since_seq,
        (SELECT json_agg(json_build_array(ledger_ms(u.window_start), u.used)) FROM (
          SELECT w.window_start, w.used FROM credit_budget_usage w WHERE w.organization_id = b.organization_id AND w.budget_id = b.id
          ORDER BY w.window_start DESC LIMIT 3) u)))
      FROM credit_budgets b WHERE b.organization_id = a.organization_id AND b.active),
    'overrides', (SELECT json_agg(json_build_array(r.event_id, r.cost, r.per_units, ledger_ms(r.effective_from), ledger_ms(r.effective_until)))
      FROM credit_event_overrides r WHERE r.organization_id = a.organization_id))
  FROM unnest(p_organizations) AS wanted (id)
  JOIN credit_accounts a ON a.organization_id = wanted.id
  JOIN organizations o ON o.id = wanted.id
  $$;

-- Locks accounts, always in the order of their ids, then reads them in a statement of its own: the snapshot of a statement
-- that waits for a lock is older than what the lock protects.
CREATE FUNCTION ledger_lock(p_organizations uuid[]) RETURNS TABLE (state json)
  LANGUAGE plpgsql
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  AS $$
BEGIN
  PERFORM 1 FROM (
    SELECT a.organization_id FROM unnest(p_organizations) AS wanted (id) JOIN credit_accounts a ON a.organization_id = wanted.id
    ORDER BY a.organization_id FOR NO KEY UPDATE OF a
  ) locked;
  RETURN QUERY SELECT r.state FROM ledger_read(p_organizations) r;
END $$;

-- What was already written under keys, with the lots it moved.
CREATE FUNCTION ledger_known(p_organizations uuid[], p_spaces key_space[], p_keys text[])
  RETURNS TABLE (organization_id uuid, key_space key_space, idempotency_key text, id uuid, seq bigint, type transaction_type, amount bigint,
    held bigint, available_after bigint, hold_id uuid, request_hash text, entries json)
  LANGUAGE sql STABLE
  SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  AS $$
  SELECT t.organization_id, t.key_space, t.idempotency_key, t.id, t.seq, t.type, t.amount, t.held, t.available_after, t.hold_id, t.request_hash,
    (SELECT json_agg(json_build_array(e.grant_id, g.source, e.amount, e.held) ORDER BY e.position)
     FROM credit_entries e JOIN credit_grants g ON g.organization_id = e.organization_id AND g.id = e.grant_id
     WHERE e.organization_id = t.organization_id AND e.transaction_seq = t.seq)
  FROM unnest(p_organizations, p_spaces, p_keys) AS asked (organization_id, key_space, idempotency_key)
  JOIN credit_transactions t USING (organization_id, key_space, idempotency_key)
  $$;

-- Number of an organization's last ledger row before an instant, 0 where there is none. Instants never decrease along `seq`,
-- and `seq` has no gaps: bisecting the primary key reads about twenty rows of a million. Stable, so that a statement that asks
-- for several instants sees one and the same ledger.
CREATE FUNCTION ledger_seq_before(p_organization uuid, p_at timestamptz) RETURNS bigint
  LANGUAGE plpgsql STABLE
  AS $$
DECLARE
  v_at timestamptz;
  v_low bigint := 0;
  v_high bigint;
  v_middle bigint;
BEGIN
  SELECT t.seq, t.created_at INTO v_high, v_at FROM credit_transactions t
  WHERE t.organization_id = p_organization ORDER BY t.seq DESC LIMIT 1;
  IF v_high IS NULL OR v_at < p_at THEN
    RETURN coalesce(v_high, 0);
  END IF;
  WHILE v_low < v_high LOOP
    v_middle := (v_low + v_high + 1) / 2;
    SELECT t.created_at INTO v_at FROM credit_transactions t WHERE t.organization_id = p_organization AND t.seq = v_middle;
    IF v_at < p_at THEN
      v_low := v_middle;
    ELSE
      v_high := v_middle - 1;
    END IF;
  END LOOP;
  RETURN v_low;
END $$;

-- ── Writing ────────────────────────────────────────────────────────────────────────────────────────────────
-- Writes what was decided on accounts, in one exchange. Each account is written only where it still has the version it was
-- decided on and none of its keys stands for a row already (one that is not `changed` is only asked whether it still has);
-- the numbers of those that were written, and of those with a known key, are returned, and null where all are written.
--
-- Columns of `a_…` accounts, `g_…` ids of lots, `l_…` changes of lots, `v_…` events, `w_…` who, `t_…` ledger rows, `e_…` their
-- entries, `k_…` keys of what was refused. Numbers from 1 point from one into the other, so that nothing long is said twice; what
-- is left out of a column has the value that nearly all have. `p_rest` holds what is rare. Instants are milliseconds since 1970.
CREATE FUNCTION ledger_write(
  p_epoch bigint, p_rest jsonb,
  a_org uuid[], a_expected bigint[], a_changed boolean[], a_balance bigint[], a_held bigint[], a_debt bigint[], a_row int[],
  g_id uuid[],
  l_account int[], l_lot int[], l_amount bigint[], l_held bigint[],
  v_id uuid[], v_name text[], v_version int[], v_cost bigint[], v_per_units bigint[],
  w_actor text[], w_api_key uuid[],
  t_account int[], t_seq bigint[], t_id uuid[], t_type text[], t_amount bigint[], t_held bigint[], t_debt bigint[], t_balance bigint[], t_available bigint[],
  t_space key_space[], t_key text[], t_request text[], t_event int[], t_quantity bigint[], t_corrects bigint[], t_hold uuid[], t_reference text[],
  t_project text[], t_member uuid[], t_reason text[], t_who int[], t_metadata text[], t_at float8[], t_hash text[],
  e_row int[], e_position int[], e_lot int[], e_amount bigint[], e_held bigint[], e_after bigint[],
  k_account int[], k_space key_space[], k_key text[]
) RETURNS jsonb
  LANGUAGE plpgsql
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  AS $$
DECLARE
  v_ok int[];
  v_known int[];
  v_all boolean;
BEGIN
  IF p_epoch IS NOT NULL THEN
    IF p_epoch <> (SELECT epoch FROM ledger_epoch) THEN
      RETURN '{"epoch": true}';
    END IF;
    -- A plan made while the ledger is empty may walk an organization's whole history for each key, and is kept; so until there
    -- are statistics it is made each time.
    IF (SELECT c.reltuples < 1000 FROM pg_class c WHERE c.oid = 'public.credit_transactions'::regclass) THEN
      EXECUTE 'SELECT array_agg(DISTINCT asked.account)
        FROM (SELECT * FROM unnest($1, $2, $3) UNION ALL SELECT * FROM unnest($4, $5, $6)) AS asked (account, space, key)
        JOIN credit_transactions known ON known.organization_id = ($7)[asked.account] AND known.key_space = coalesce(asked.space, $8)
          AND known.idempotency_key = asked.key'
        INTO v_known USING t_account, t_space, t_key, k_account, k_space, k_key, a_org, 'caller'::key_space;
    ELSE
      SELECT array_agg(DISTINCT asked.account) INTO v_known
      FROM (SELECT * FROM unnest(t_account, t_space, t_key) UNION ALL SELECT * FROM unnest(k_account, k_space, k_key)) AS asked (account, space, key)
      JOIN credit_transactions known ON known.organization_id = a_org[asked.account] AND known.key_space = coalesce(asked.space, 'caller')
        AND known.idempotency_key = asked.key;
    END IF;
  END IF;
  -- Locks and changes in one. Both sides come in the order of ids (the callers sort; an index is the only other way), so two
  -- flushes never wait for each other. What waited for a lock is asked again for its version. Whoever has written a key that
  -- was not there a moment ago has raised the version too.
  WITH written AS (
    UPDATE credit_accounts a SET balance = b.balance, held = coalesce(b.held, 0), debt = coalesce(b.debt, 0),
      last_seq = coalesce(t_seq[b.last_row], a.last_seq), last_at = coalesce(to_timestamp(t_at[b.last_row] / 1000), a.last_at),
      last_hash = coalesce(decode(t_hash[b.last_row], 'hex'), a.last_hash), updated_at = coalesce(to_timestamp(t_at[b.last_row] / 1000), a.updated_at),
      version = b.expected + 1
    FROM unnest(a_org, a_expected, a_changed, a_balance, a_held, a_debt, a_row) WITH ORDINALITY AS b (org, expected, changed, balance, held, debt, last_row, i)
    WHERE a.organization_id = b.org AND a.version = b.expected AND coalesce(b.changed, true) AND (v_known IS NULL OR NOT b.i = ANY (v_known))
    RETURNING b.i::int AS i
  )
  SELECT coalesce(array_agg(i), '{}') INTO v_ok FROM written;
  IF cardinality(a_changed) > 0 THEN
    SELECT v_ok || coalesce(array_agg(b.i::int), '{}') INTO v_ok
    FROM unnest(a_org, a_expected, a_changed) WITH ORDINALITY AS b (org, expected, changed, i)
    JOIN credit_accounts a ON a.organization_id = b.org AND a.version = b.expected
    WHERE NOT b.changed AND (v_known IS NULL OR NOT b.i = ANY (v_known));
  END IF;
  v_all := cardinality(v_ok) = cardinality(a_org);

  IF p_rest ? 'lots' THEN
    INSERT INTO credit_grants (organization_id, id, source, amount, remaining, held, frozen, to_take, taken, to_freeze, transferred, expired, transferable, open,
      expires_at, label, plan_id, plan_version, price_id, product_id, stripe_invoice_id, stripe_payment_id, stripe_session_id,
      origin_organization_id, origin_grant_id, origin_source, created_at)
    SELECT a_org[n.account], n.id, n.source, n.amount, n.remaining, n.held, n.frozen, n.to_take, n.taken, n.to_freeze, n.transferred, n.expired, n.transferable, n.remaining > 0,
      n.expires_at, n.label, n.plan_id, n.plan_version, n.price_id, n.product_id, n.stripe_invoice_id, n.stripe_payment_id, n.stripe_session_id,
      n.origin_organization_id, n.origin_grant_id, n.origin_source, n.created_at
    FROM jsonb_to_recordset(p_rest -> 'lots') AS n (account int, id uuid, source grant_source, amount bigint, remaining bigint, held bigint, frozen bigint,
      to_take bigint, taken bigint, to_freeze bigint, transferred bigint, expired bigint, transferable boolean, expires_at timestamptz, label text, plan_id uuid,
      plan_version int, price_id uuid, product_id uuid, stripe_invoice_id text, stripe_payment_id text, stripe_session_id text,
      origin_organization_id uuid, origin_grant_id uuid, origin_source grant_source, created_at timestamptz)
    WHERE n.account = ANY (v_ok);
  END IF;

  UPDATE credit_grants g SET remaining = g.remaining + c.amount, held = g.held + coalesce(c.held, 0), open = g.remaining + c.amount > 0
  FROM unnest(l_account, l_lot, l_amount, l_held) AS c (account, lot, amount, held)
  WHERE g.organization_id = a_org[c.account] AND g.id = g_id[c.lot] AND (v_all OR c.account = ANY (v_ok));

  INSERT INTO credit_transactions (organization_id, seq, id, type, amount, held, debt, balance_after, available_after, key_space, idempotency_key, request_hash,
    event_id, event_name, event_version, quantity, unit_cost, per_units, corrects_seq, hold_id, reference, project, member_id, reason, actor, api_key_id,
    metadata, created_at, hash)
  SELECT a_org[t.account], t.seq, t.id, coalesce(t.type::transaction_type, 'consume'), t.amount, coalesce(t.held, 0), coalesce(t.debt, 0), t.balance, t.available,
    coalesce(t.space, 'caller'), t.key, t.request, v_id[t.event], v_name[t.event], v_version[t.event], t.quantity, v_cost[t.event], v_per_units[t.event],
    t.corrects, t.hold, t.reference, t.project, t.member, t.reason, w_actor[t.who], w_api_key[t.who], t.metadata::jsonb, to_timestamp(t.at / 1000), decode(t.hash, 'hex')
  FROM unnest(t_account, t_seq, t_id, t_type, t_amount, t_held, t_debt, t_balance, t_available, t_space, t_key, t_request, t_event, t_quantity,
    t_corrects, t_hold, t_reference, t_project, t_member, t_reason, t_who, t_metadata, t_at, t_hash)
    AS t (account, seq, id, type, amount, held, debt, balance, available, space, key, request, event, quantity, corrects, hold, reference, project, member,
      reason, who, metadata, at, hash)
  WHERE v_all OR t.account = ANY (v_ok);

  INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, held, lot_after)
  SELECT a_org[t_account[e.row]], t_seq[e.row], coalesce(e.position, 1), g_id[e.lot], coalesce(e.amount, 0), coalesce(e.held, 0), coalesce(e.after, 0)
  FROM unnest(e_row, e_position, e_lot, e_amount, e_held, e_after) AS e (row, position, lot, amount, held, after)
  WHERE v_all OR t_account[e.row] = ANY (v_ok);

  IF p_rest ? 'claims' THEN
    -- In one with their amounts: a check that looks at both would refuse the state in between.
    UPDATE credit_grants g SET remaining = g.remaining + c.amount, held = g.held + c.held_change, open = g.remaining + c.amount > 0,
      frozen = c.frozen, to_take = c.to_take, taken = c.taken, to_freeze = c.to_freeze, transferred = c.transferred, expired = c.expired
    FROM jsonb_to_recordset(p_rest -> 'claims') AS c (account int, id uuid, amount bigint, held_change bigint, frozen bigint, to_take bigint,
      taken bigint, to_freeze bigint, transferred bigint, expired bigint)
    WHERE g.organization_id = a_org[c.account] AND g.id = c.id AND c.account = ANY (v_ok);
  END IF;
  IF p_rest ? 'holds' THEN
    INSERT INTO credit_holds (organization_id, id, kind, amount, captured, remaining, lots, budgets, open, event_name, project, member_id, api_key_id, actor,
      lease_ends_at, created_at, ended_at)
    SELECT a_org[h.account], h.id, h.kind, h.amount, h.captured, h.remaining, h.lots, h.budgets, h.open, h.event_name, h.project, h.member_id, h.api_key_id, h.actor,
      h.lease_ends_at, h.created_at, h.ended_at
    FROM jsonb_to_recordset(p_rest -> 'holds') AS h (account int, id uuid, kind hold_kind, amount bigint, captured bigint, remaining bigint, lots jsonb, budgets jsonb,
      open boolean, event_name text, project text, member_id uuid, api_key_id uuid, actor text, lease_ends_at timestamptz, created_at timestamptz, ended_at timestamptz)
    WHERE h.account = ANY (v_ok)
    ON CONFLICT (organization_id, id) DO UPDATE SET captured = excluded.captured, remaining = excluded.remaining, lots = excluded.lots, budgets = excluded.budgets,
      open = excluded.open, lease_ends_at = excluded.lease_ends_at, ended_at = excluded.ended_at;
  END IF;
  IF p_rest ? 'usage' THEN
    INSERT INTO credit_budget_usage AS b (organization_id, budget_id, window_start, used)
    SELECT a_org[u.account], u.budget_id, u.window_start, u.change
    FROM jsonb_to_recordset(p_rest -> 'usage') AS u (account int, budget_id uuid, window_start timestamptz, change bigint)
    WHERE u.account = ANY (v_ok) AND u.change > 0
    ON CONFLICT (organization_id, budget_id, window_start) DO UPDATE SET used = b.used + excluded.used;
    -- What is given back was counted before, so its row is there; as a row to insert it would be refused, being negative.
    UPDATE credit_budget_usage b SET used = greatest(0, b.used + u.change)
    FROM jsonb_to_recordset(p_rest -> 'usage') AS u (account int, budget_id uuid, window_start timestamptz, change bigint)
    WHERE b.organization_id = a_org[u.account] AND b.budget_id = u.budget_id AND b.window_start = u.window_start
      AND u.account = ANY (v_ok) AND u.change < 0;
  END IF;

  IF p_rest ? 'suspended' THEN
    UPDATE credit_accounts a SET suspended_at = s.at, suspended_reason = s.reason
    FROM jsonb_to_recordset(p_rest -> 'suspended') AS s (account int, at timestamptz, reason text)
    WHERE a.organization_id = a_org[s.account] AND s.account = ANY (v_ok);
  END IF;

  IF v_all THEN
    RETURN NULL;
  END IF;
  RETURN jsonb_build_object('written', v_ok, 'known', coalesce(v_known, '{}'));
END $$;

-- Locks accounts and reads everything that a decision on them needs: their state, what stands under keys, and which API keys
-- are not valid any more. One statement after the other, so that each sees what the lock protects.
CREATE FUNCTION ledger_open(p_organizations uuid[], k_organizations uuid[], k_spaces key_space[], k_keys text[], p_api_keys uuid[]) RETURNS json
  LANGUAGE plpgsql
  AS $$
DECLARE
  v_states json;
  v_known json;
  v_revoked json;
BEGIN
  SELECT json_agg(l.state) INTO v_states FROM ledger_lock(p_organizations) l;
  SELECT json_agg(k) INTO v_known FROM ledger_known(k_organizations, k_spaces, k_keys) k;
  SELECT json_agg(id) INTO v_revoked FROM unnest(p_api_keys) AS asked (id)
  WHERE NOT EXISTS (SELECT FROM api_keys k WHERE k.id = asked.id AND k.revoked_at IS NULL);
  RETURN json_build_object('states', v_states, 'known', v_known, 'revoked', v_revoked);
END $$;

-- The doors of the group commit: each is a statement of its own, outside of any transaction that has taken a role. A flush waits
-- for a lock only briefly: one account that somebody keeps locked must not hold up all others.
CREATE FUNCTION ledger_flush(
  p_epoch bigint, p_rest jsonb,
  a_org uuid[], a_expected bigint[], a_changed boolean[], a_balance bigint[], a_held bigint[], a_debt bigint[], a_row int[],
  g_id uuid[],
  l_account int[], l_lot int[], l_amount bigint[], l_held bigint[],
  v_id uuid[], v_name text[], v_version int[], v_cost bigint[], v_per_units bigint[],
  w_actor text[], w_api_key uuid[],
  t_account int[], t_seq bigint[], t_id uuid[], t_type text[], t_amount bigint[], t_held bigint[], t_debt bigint[], t_balance bigint[], t_available bigint[],
  t_space key_space[], t_key text[], t_request text[], t_event int[], t_quantity bigint[], t_corrects bigint[], t_hold uuid[], t_reference text[],
  t_project text[], t_member uuid[], t_reason text[], t_who int[], t_metadata text[], t_at float8[], t_hash text[],
  e_row int[], e_position int[], e_lot int[], e_amount bigint[], e_held bigint[], e_after bigint[],
  k_account int[], k_space key_space[], k_key text[]
) RETURNS jsonb
  LANGUAGE plpgsql SET role = 'billfold_platform' SET lock_timeout = '250ms'
  AS $$
BEGIN
  RETURN ledger_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52, $53, $54);
END $$;

-- Accounts and the validity of API keys without a lock, for a process that will say in its write what it has seen.
CREATE FUNCTION ledger_peek(p_organizations uuid[], p_api_keys uuid[]) RETURNS json
  LANGUAGE sql STABLE SET role = 'billfold_platform'
  AS $$
  SELECT json_build_object(
    'states', (SELECT json_agg(r.state) FROM ledger_read(p_organizations) r),
    'revoked', (SELECT json_agg(id) FROM unnest(p_api_keys) AS asked (id)
      WHERE NOT EXISTS (SELECT FROM api_keys k WHERE k.id = asked.id AND k.revoked_at IS NULL)))
  $$;

-- The rate card for everybody.
CREATE FUNCTION ledger_rate_card() RETURNS json
  LANGUAGE sql STABLE
  AS $$
  SELECT json_build_object('epoch', (SELECT epoch FROM ledger_epoch), 'events', (
    SELECT json_agg(json_build_array(e.id, e.name, e.cost, e.per_units, e.version, e.active, ledger_ms(e.active_from), (
      SELECT json_agg(json_build_array(r.cost, r.per_units, ledger_ms(r.effective_from), r.version) ORDER BY r.effective_from)
      FROM credit_event_rates r WHERE r.event_id = e.id)))
    FROM credit_events e))
  $$;

-- An account as its own tenant sees it, in one statement.
CREATE FUNCTION ledger_look(p_organization uuid) RETURNS TABLE (state json)
  LANGUAGE plpgsql SET role = 'billfold_app'
  AS $$
BEGIN
  PERFORM set_config('app.organization_id', p_organization::text, true);
  RETURN QUERY SELECT r.state FROM ledger_read(ARRAY[p_organization]) r;
END $$;

-- Whether an account is still the one that a process remembers; null where its tenant has none.
CREATE FUNCTION ledger_version(p_organization uuid) RETURNS bigint
  LANGUAGE plpgsql SET role = 'billfold_app'
  AS $$
BEGIN
  PERFORM set_config('app.organization_id', p_organization::text, true);
  RETURN (SELECT a.version FROM credit_accounts a WHERE a.organization_id = p_organization);
END $$;

-- Whether an API key may be used.
CREATE FUNCTION api_key_is_valid(p_api_key uuid) RETURNS boolean
  LANGUAGE plpgsql SET role = 'billfold_platform'
  AS $$
BEGIN
  RETURN EXISTS (SELECT FROM api_keys k LEFT JOIN organizations o ON o.id = k.organization_id
    WHERE k.id = p_api_key AND k.revoked_at IS NULL AND o.deleted_at IS NULL);
END $$;

REVOKE EXECUTE ON FUNCTION raise_ledger_epoch(), raise_account_version(), ledger_flush, ledger_peek, ledger_look, ledger_version, api_key_is_valid, ledger_write, ledger_lock, ledger_open FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_write, ledger_lock, ledger_open TO billfold_platform;
