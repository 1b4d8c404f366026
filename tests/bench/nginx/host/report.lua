-- What wrk has measured, as JSON.
function done(summary)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"bytes":%d,"failed":%d}\n', summary.requests, summary.duration / 1e6,
    summary.bytes, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
