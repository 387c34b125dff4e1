# A Rack application: echoes websockets, and what is posted.
class Echo
  def call(env)
    if env["HTTP_SEC_WEBSOCKET_KEY"]
      UWSGI::websocket_handshake(env["HTTP_SEC_WEBSOCKET_KEY"], env["HTTP_ORIGIN"].to_s, env["HTTP_SEC_WEBSOCKET_PROTOCOL"].to_s)
      loop do
        UWSGI::websocket_send(UWSGI::websocket_recv)
      end
    end
    body = env["REQUEST_METHOD"] == "POST" ? env["rack.input"].read : "ruby #{env['PATH_INFO']}"
    [200, {"Content-Type" => "text/plain"}, [body]]
  end
end

run Echo.new
