--
-- The page of dashboard(): whole, and nothing in the data is taken for markup.
--
SET client_min_messages = warning;

SELECT define_pool('<script>alert(1)</script>', $$max_size '2', initial_size '1', min_size '1', validation_interval '0'$$);
SELECT define_pool('</script><!-- & "quoted" ', $$max_size '1'$$);
SELECT define_pool('dashboard_failing', $$max_size '1', initial_size '0', min_size '0', retry_attempts '1', circuit_breaker_threshold '0'$$);
ALTER SERVER dashboard_failing OPTIONS (SET dbname 'no <script>alert(2)</script> here');
SELECT enhanced_pool.exec('<script>alert(1)</script>', 'SELECT 1');
SELECT left(error_of($$SELECT enhanced_pool.exec('dashboard_failing', 'SELECT 1')$$), 5) AS failed;
SELECT enhanced_pool.acquire('<script>alert(1)</script>', hold => true, name => '<b>&amp;') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'SELECT ''</script><script>alert(3)</script> ' || U&'\2028\2029 \00e4 \+01f600' || '''');

CREATE TABLE pages (n int, page text);
INSERT INTO pages VALUES (1, enhanced_pool.dashboard());
CREATE VIEW data AS
  SELECT substring(page FROM '<script type="application/json" id="data">(.*?)</script>')::jsonb AS data FROM pages WHERE n = 1;

-- One document of ASCII alone, with two scripts (the data and what draws them) and one style
SELECT page ~ '^<!DOCTYPE html>\n<html lang="en">\n.*</html>\n$' AS whole, octet_length(page) = length(page) AND page !~ '[^\x09\x0a\x20-\x7e]' AS ascii,
       page !~ '@[-a-z]+@' AS nothing_left_out
  FROM pages;
SELECT (SELECT count(*) FROM regexp_matches(page, '<script', 'gi')) AS scripts, (SELECT count(*) FROM regexp_matches(page, '</script', 'gi')) AS ends,
       (SELECT count(*) FROM regexp_matches(page, '<style', 'gi')) AS styles, (SELECT count(*) FROM regexp_matches(page, '<!--', 'g')) AS comments
  FROM pages;
-- nothing is fetched; the one address outside the data is the name of SVG
SELECT DISTINCT m[1] AS address
  FROM pages, regexp_matches(regexp_replace(page, '<script type="application/json" id="data">.*?</script>', ''), '((?:https?:)?//[a-z][^'' "]*)', 'gi') AS m;
SELECT page ~ '(innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|<link|<img|@import|url\()' AS dangerous FROM pages;
-- the policy names this style and this script
SELECT page ~ ('style-src ''sha256-' || replace(encode(sha256(convert_to(substring(page FROM '<style>(.*)</style>'), 'UTF8')), 'base64'), '+', '\+') || ''';') AS style,
       page ~ ('script-src ''sha256-' || replace(encode(sha256(convert_to(substring(page FROM '<script>(.*?)</script>'), 'UTF8')), 'base64'), '+', '\+') || ''';') AS script
  FROM pages;

-- The data are those of the views, with everything in them that the page must not take for markup
SELECT string_agg(key, ', ' ORDER BY key COLLATE "C") AS keys FROM data, jsonb_object_keys(data) AS key;
SELECT p ->> 'pool' AS pool, p ->> 'state' AS state, p ->> 'max_size' AS max_size, p ->> 'role' = current_user AS me,
       jsonb_array_length(p -> 'connections') = (p ->> 'size')::int AS connections, p ? 'p99_wait_time' AND p ? 'histograms' AND p ? 'history' AS all_there
  FROM data, jsonb_array_elements(data -> 'pools') AS p WHERE p ->> 'pool' ~ '[<]' ORDER BY p ->> 'pool' COLLATE "C";
SELECT l ->> 'pool' AS pool, l ->> 'name' AS name, (l ->> 'held_for')::float8 BETWEEN 0 AND 600 AS seconds,
       l ->> 'query' = U&'SELECT ''</script><script>alert(3)</script> \2028\2029 \00e4 \+01f600''' AS query
  FROM data, jsonb_array_elements(data -> 'leases') AS l WHERE l ->> 'lease' = :'lease';
SELECT bool_or(e ->> 'message' LIKE '%no <script>alert(2)</script> here%') AS message, bool_or(e ->> 'kind' IN ('connect', 'close')) AS everyday
  FROM data, jsonb_array_elements(data -> 'events') AS e WHERE e ->> 'pool' IN ('dashboard_failing', '<script>alert(1)</script>');
SELECT data -> 'server' ->> 'database' = current_database() AS database, data -> 'server' ->> 'user' = current_user AS role,
       data -> 'server' ->> 'extension' = (SELECT default_version FROM pg_available_extensions WHERE name = 'enhanced_pool') AS extension,
       abs(extract(epoch FROM clock_timestamp() - (data ->> 'made_at')::timestamptz)) < 600 AS made
  FROM data;

-- Everybody may have it, and sees what the views show him
GRANT ALL ON pages TO regress_ep_app;
SET ROLE regress_ep_app;
INSERT INTO pages VALUES (2, enhanced_pool.dashboard());
RESET ROLE;
SELECT page ~ 'no \\u003cscript\\u003ealert\(2\)' AS message, page ~ 'alert\(3\)' AS query, page ~ '\\u003cscript\\u003ealert\(1\)' AS name FROM pages ORDER BY n;

SELECT enhanced_pool.release(:lease);
DROP VIEW data;
DROP TABLE pages;
DROP SERVER "<script>alert(1)</script>", "</script><!-- & ""quoted"" ", dashboard_failing CASCADE;
