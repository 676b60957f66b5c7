-- wrk has no fixed rate. Each connection waits between its requests, half to one and a half times DELAY_MS, so that
-- CONNECTIONS / DELAY_MS requests come each millisecond as long as the answers are short against the wait.
local delay_ms = tonumber(os.getenv("DELAY_MS"))
local threads = {}
math.randomseed(7)

function setup(thread)
  table.insert(threads, thread)
end

function init()
  answered, refused, wrong = 0, 0, 0
end

function delay()
  return math.random(math.floor(delay_ms / 2), math.floor(delay_ms * 3 / 2))
end

function response(status, headers)
  if status == 200 then
    answered = answered + 1
  elseif status == 503 and (headers["Retry-After"] or headers["retry-after"]) then
    refused = refused + 1
  else
    wrong = wrong + 1
  end
end

function done(summary, latency)
  local counts = { answered = 0, refused = 0, wrong = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(counts) do
      counts[name] = counts[name] + thread:get(name)
    end
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"seconds": %.3f, "answered": %d, "refused": %d, "wrong": %d, "broken": %d, "p50_ms": %.1f, "p99_ms": %.1f, "max_ms": %.1f}\n',
    summary.duration / 1e6, counts.answered, counts.refused, counts.wrong,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
