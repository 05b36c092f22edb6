/*-------------------------------------------------------------------------
 *
 * classify.c
 *		Fuzz target: what the text of a statement tells.
 *
 * Blanks and comments in front change nothing, nor does a statement before
 * others in a script make anything less of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/classify.h"
#include "fuzz.h"

static bool
same(EpTextClass a, EpTextClass b)
{
	return a.dirty == b.dirty && a.transaction == b.transaction && a.copy == b.copy &&
		a.plannable == b.plannable && a.several == b.several;
}

static char *
join(const char *a, const char *b)
{
	char	   *result = malloc(strlen(a) + strlen(b) + 1);

	return strcat(strcpy(result, a), b);
}

static void
try_behind(const char *blank, const char *sql, EpTextClass class, EpTextClass script)
{
	char	   *more = join(blank, sql);

	INVARIANT(same(ep_classify(more), class));
	INVARIANT(same(ep_classify_script(more), script));
	free(more);
}

/* Something in front that is a statement of its own. */
static void
try_behind_statement(const char *sql, EpTextClass script)
{
	char	   *more = join("SELECT 1; ", sql);
	EpTextClass class = ep_classify_script(more);

	INVARIANT(class.dirty == script.dirty && class.transaction == script.transaction && class.copy == script.copy);
	free(more);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	Input		in = {data, data + size};
	char	   *sql = take_text(&in, size);
	EpTextClass class = ep_classify(sql);
	EpTextClass script = ep_classify_script(sql);

	INVARIANT(class.several == script.several && class.dirty == script.dirty);
	INVARIANT(script.transaction || !class.transaction);
	INVARIANT(script.copy || !class.copy);
	INVARIANT(!(class.plannable && class.transaction) && !(class.plannable && class.copy));
	if (ep_surely_rowless(sql))
		INVARIANT(!class.transaction && !class.copy);
	try_behind(" \n", sql, class, script);
	try_behind("-- ; ' \" $$ /*\n", sql, class, script);
	try_behind("/* ' /* \" */ ; */", sql, class, script);
	try_behind_statement(sql, script);
	free(sql);
	return 0;
}
