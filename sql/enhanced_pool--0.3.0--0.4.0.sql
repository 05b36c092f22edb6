/* sql/enhanced_pool--0.3.0--0.4.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION enhanced_pool UPDATE TO '0.4.0'" to load this file. \quit

--
-- Histograms of what pools did, and their last hour.
--

--
-- All numbers as one document.
--

--
-- A page that shows them.
--
