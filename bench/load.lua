-- Sends the tokens of a file in turn.  Each stands on a line, all are of one length:
-- load.lua TOKENS FIRST COUNT BEGIN ORIGIN
local sent, turn, count = {}, 0, 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local width = #file:read("*l") + 1
   file:seek("set", tonumber(args[2]) * width)
   count = tonumber(args[3])
   turn = tonumber(args[4])
   wrk.headers["Origin"] = args[5]
   for number = 1, count do
      wrk.headers["Authorization"] = "Bearer " .. assert(file:read("*l"), "too few tokens")
      sent[number] = wrk.format()
   end
   file:close()
end

function request()
   turn = turn % count + 1
   return sent[turn]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f,'
         .. ' "refused": %d, "broken": %d}\n',
      summary.requests, summary.duration / 1e6,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
