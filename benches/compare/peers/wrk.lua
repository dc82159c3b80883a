-- Exact totals of one wrk run, as a line of JSON. It has no request or response hook, so it costs nothing while the run lasts.
done = function(s, latency, _)
  local e = s.errors
  io.write(string.format('{"requests":%d,"bytes":%d,"us":%d,"p99_us":%d,"errors":%d}\n', s.requests, s.bytes, s.duration,
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
