-- A script of wrk: posts the image that the environment names.
local file = assert(io.open(os.getenv("IMGC_IMAGE"), "rb"))
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = "image/jpeg"
