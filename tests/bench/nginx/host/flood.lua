-- Wrong passwords for a user that exists, each another one, at most 25 a second on each connection.
local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
math.randomseed(os.time())

function delay()
  return 40
end

function request()
  local guess = {}
  for place = 1, 8 do
    local at = math.random(#letters)
    guess[place] = letters:sub(at, at)
  end
  -- base64 of "alice:wrong-", and six bytes of anything
  wrk.headers["Authorization"] = "Basic YWxpY2U6d3Jvbmct" .. table.concat(guess)
  return wrk.format("GET", "/v2/")
end

function done(summary)
  io.write(string.format('{"requests":%d,"seconds":%f,"refused":%d}\n', summary.requests, summary.duration / 1e6, summary.errors.status))
end
