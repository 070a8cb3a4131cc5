-- For wrk: asks the lines of QUESTIONS in turn, each connection pausing PAUSE milliseconds, so that the rate is about
-- connections / PAUSE. With FRESH=1 every question has a period of its own, so that none was asked before.
local lines, place = {}, 0
for line in io.lines(os.getenv("QUESTIONS")) do lines[#lines + 1] = line end
local fresh, pause = os.getenv("FRESH") == "1", tonumber(os.getenv("PAUSE"))
math.randomseed(tonumber(os.getenv("SEED") or "1"))

function request()
  place = place % #lines + 1
  local path = lines[place]
  if fresh then
    path = path:gsub("T%d%d:00:00", string.format("T%02d:%02d:%02d", math.random(0, 23), math.random(0, 59), math.random(0, 59)), 1)
  end
  return wrk.format("GET", path)
end

function delay() return pause end

function done(summary, latency)
  io.write(string.format(
    '{"requests": %d, "seconds": %.3f, "p50_ms": %.2f, "p90_ms": %.2f, "p99_ms": %.2f, "worst_ms": %.2f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3,
    summary.errors.status + summary.errors.timeout + summary.errors.read + summary.errors.connect))
end
