# Crowd.pm: functions for many sessions that share pools.  Each asks for
# something that only it can have asked for, so that an answer that was meant for
# somebody else is noticed.
#
#	$local->safe_psql('postgres', $crowd_functions);
#	ask(pool, n)		n rows with this very question's tag
#	ask_lease(pool)		a lease with a setting of its own
#	ask_clean(pool)		no setting of somebody else's is seen
#	break_off(pool, how)	1 to 4: an error or a time-out, and ask after it

package Crowd;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw($crowd_functions);

our $crowd_functions = <<'SQL';
CREATE FUNCTION ask(pool text, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  tag text := pg_backend_pid() || '.' || random();
  answer text;
  rows bigint;
BEGIN
  SELECT max(t.answer), count(*) INTO answer, rows
    FROM enhanced_pool.execute(pool, 'SELECT $1 || $2 FROM generate_series(1, $3)', tag, '!', n) AS t(answer text);
  IF answer IS DISTINCT FROM tag || '!' OR rows <> n THEN
    RAISE 'crossed: asked %, got % (% rows of %)', tag, answer, rows, n USING ERRCODE = 'XX001';
  END IF;
END $$;
CREATE FUNCTION ask_lease(pool text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  lease bigint := enhanced_pool.acquire(pool);
  tag text := pg_backend_pid() || '.' || random();
  answer text;
BEGIN
  PERFORM enhanced_pool.exec(lease, 'SELECT set_config(''a.tag'', $1, false)', tag);
  SELECT t.answer INTO answer
    FROM enhanced_pool.execute(lease, 'SELECT current_setting(''a.tag'')') AS t(answer text);
  IF answer IS DISTINCT FROM tag THEN
    RAISE 'crossed: set %, got %', tag, answer USING ERRCODE = 'XX001';
  END IF;
END $$;
-- what one lease has set, the next statement does not see
CREATE FUNCTION ask_clean(pool text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  SELECT t.answer INTO answer
    FROM enhanced_pool.execute(pool, 'SELECT current_setting(''a.tag'', true)') AS t(answer text);
  IF answer <> '' THEN
    RAISE 'crossed: another session''s setting %', answer USING ERRCODE = 'XX001';
  END IF;
END $$;
-- errors of the remote, of the receiver and time-outs in the middle of an answer
CREATE FUNCTION break_off(pool text, how int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  CASE how
    WHEN 1 THEN
      PERFORM enhanced_pool.exec(pool, 'SELECT 1 / (random() * 0)::int');
    WHEN 2 THEN
      PERFORM * FROM enhanced_pool.execute(pool, 'SELECT repeat(''x'', 100) FROM generate_series(1, 1000)') AS t(n int);
    WHEN 3 THEN
      PERFORM set_config('enhanced_pool.query_timeout', '2ms', true);
      PERFORM enhanced_pool.exec(pool, 'SELECT pg_sleep(60)');
    WHEN 4 THEN
      PERFORM enhanced_pool.exec(enhanced_pool.acquire(pool), 'BEGIN');
      RAISE division_by_zero;
  END CASE;
EXCEPTION WHEN division_by_zero OR invalid_text_representation OR query_canceled OR datatype_mismatch THEN
  PERFORM set_config('enhanced_pool.query_timeout', '0', true);
  PERFORM ask(pool, 1);
END $$;
SQL

1;
