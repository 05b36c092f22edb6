/*-------------------------------------------------------------------------
 *
 * send.c
 *		Fuzz target: messages are built, sent to a remote that takes them in
 *		pieces, cut off, and made up by another process.
 *
 * Whatever happens in between, what the remote gets are whole messages, those
 * that were built and not cut, in order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"

#define MAX_MESSAGES	64
#define MAX_STREAM		(MAX_MESSAGES * 1024)

/* What the remote is to get. */
typedef struct Model
{
	char		stream[MAX_STREAM];
	size_t		len;
	size_t		ends[MAX_MESSAGES]; /* of the messages in it */
	int			n;
	size_t		open;			/* where the message begins that is being built; == len: none */
} Model;

static Model model;
static char received[MAX_STREAM];

static void
model_put(const void *bytes, size_t len)
{
	INVARIANT(model.len + len <= MAX_STREAM);
	if (len > 0)
		memcpy(model.stream + model.len, bytes, len);
	model.len += len;
}

static void
model_put_number(uint32 number, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
	{
		uint8		byte = (uint8) (number >> (8 * i));

		model_put(&byte, 1);
	}
}

static void
model_end(void)
{
	uint32		len = (uint32) (model.len - model.open - 1);

	for (int i = 0; i < 4; i++)
		model.stream[model.open + 1 + i] = (char) (len >> (8 * (3 - i)));
	model.ends[model.n++] = model.len;
	model.open = model.len;
}

/* The end of the message of which the remote has a part, or how much it has. */
static size_t
model_begun_until(size_t written, char *type)
{
	size_t		begin = 0;

	for (int i = 0; i < model.n && begin < written; i++)
	{
		if (model.ends[i] > written)
		{
			*type = model.stream[begin];
			return model.ends[i];
		}
		begin = model.ends[i];
	}
	return written;
}

static void
model_cut(size_t written)
{
	char		type;

	model.len = model.open = model_begun_until(written, &type);
	while (model.n > 0 && model.ends[model.n - 1] > model.len)
		model.n--;
}

/* A part of a message's body, in one of the ways there are. */
static void
put_part(EpWire *wire, Input *in)
{
	char		part[256];
	size_t		len;
	int32		number;

	switch (take_byte(in) & 3)
	{
		case 0:
			len = take_bytes(in, part, take_byte(in));
			ep_wire_put_bytes(wire, part, len);
			model_put(part, len);
			break;
		case 1:
			len = take_bytes(in, part, take_byte(in) & 0x7f);
			part[len] = '\0';
			ep_wire_put_string(wire, part);
			model_put(part, strlen(part) + 1);
			break;
		case 2:
			number = (int32) take_uint16(in);
			ep_wire_put_int16(wire, number);
			model_put_number((uint32) number, 2);
			break;
		case 3:
			number = (int32) take_uint32(in);
			ep_wire_put_int32(wire, number);
			model_put_number((uint32) number, 4);
			break;
	}
}

static void
put_begin(EpWire *wire, char type)
{
	ep_wire_begin(wire, type);
	model_put(&type, 1);
	model_put_number(0, 4);
}

static void
put_query(EpWire *wire, Input *in)
{
	char	   *sql = take_text(in, 500);

	ep_wire_put_query(wire, sql);
	model_put("Q", 1);
	model_put_number(0, 4);
	model_put(sql, strlen(sql) + 1);
	model_end();
	free(sql);
}

static void
check(const EpWire *wire, const Remote *remote)
{
	char		type = '\0';
	char		expected = '\0';
	size_t		rest = ep_wire_begun(wire, &type);
	size_t		until = model_begun_until(remote->written, &expected);

	INVARIANT(rest == until - remote->written && type == expected);
	INVARIANT(ep_wire_unsent(wire) == (remote->written < model.len));
	INVARIANT(wire->bytes_out == remote->written);
	INVARIANT(memcmp(received, model.stream, remote->written) == 0);
}

/* One thing that a caller may do.  Returns whether anything can be sent any more. */
static bool
step(EpWire *wire, Remote *remote, Input *in)
{
	bool		building = wire->out_message >= 0;
	bool		room = model.n < MAX_MESSAGES - 2 && model.len - model.open < 512;
	uint8		what = take_byte(in);
	EpIo		io;

	switch (what & 7)
	{
		case 0:
		case 1:
			if (building)
				put_part(wire, in);
			else if (room)
				put_begin(wire, (char) (what & 8 ? 'd' : what));
			/* FALLTHROUGH */
		case 2:
			if (wire->out_message >= 0 && (!room || (what & 16) != 0))
			{
				ep_wire_end(wire);
				model_end();
			}
			break;
		case 3:
			if (!building && room)
				put_query(wire, in);
			break;
		case 4:
			ep_wire_cut(wire);
			model_cut(remote->written);
			break;
		default:
			if (building)
				break;
			io = ep_wire_flush(wire);
			if (io == EP_IO_ERROR)
				return false;
			INVARIANT((io == EP_IO_OK) == (remote->written == model.len));
			break;
	}
	check(wire, remote);
	return true;
}

/* What is left of a message is made up by another process, on the same socket. */
static void
hand_over(EpWire *wire, Remote *remote)
{
	char		type;
	size_t		rest;
	size_t		before;

	ep_wire_cut(wire);
	model_cut(remote->written);
	rest = ep_wire_begun(wire, &type);
	ep_wire_free(wire);
	remote_wire(wire, remote);
	before = remote->written;
	if (rest > 0)
		ep_wire_put_padding(wire, (uint32) rest);
	INVARIANT(ep_wire_flush(wire) == EP_IO_OK);
	INVARIANT(remote->written == model.len && remote->written - before == rest);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	Input		in = {data, data + size};
	uint8		how = take_byte(&in);
	Remote		remote;
	EpWire		wire;
	bool		sending = true;

	memset(&model, 0, offsetof(Model, stream));
	model.len = model.open = 0;
	model.n = 0;
	remote_begin(&remote, NULL, 0, END_NOTHING);
	remote.written_to = received;
	remote.max_written = sizeof(received);
	remote.write_fails = how & 1;
	take_pieces(&in, remote.rooms, &remote.nrooms);
	remote_wire(&wire, &remote);
	while (sending && left(&in) > 0)
		sending = step(&wire, &remote, &in);

	remote.write_fails = false;
	remote.room = remote.nrooms;
	if (how & 2)
		hand_over(&wire, &remote);
	else
	{
		if (wire.out_message >= 0)
		{
			ep_wire_end(&wire);
			model_end();
		}
		INVARIANT(ep_wire_flush(&wire) == EP_IO_OK);
		check(&wire, &remote);
	}
	INVARIANT(remote.written == model.len);
	ep_wire_shrink(&wire);
	ep_wire_free(&wire);
	INVARIANT(fuzz_memory() == 0);
	return 0;
}
