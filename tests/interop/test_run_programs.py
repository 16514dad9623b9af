"""netstack run: well-known programs do real work on the stack, unmodified, with the shim and without."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import textwrap

import pytest

import netns
from conftest import PYTHON, finish, script

STACK, HOST = "10.0.0.2", "10.0.0.1"
MEGABYTES = 64


@pytest.fixture
def big_file(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1 << 20) * MEGABYTES)
    return path


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def listens(host, port, protocol="t"):
    netns.until(lambda: host.run("ss", f"-Hln{protocol}", f"sport = {port}").stdout, f"{port} is open")


def answers(host, port):
    def connects():
        with host.socket() as client:
            return client.connect_ex((STACK, port)) == 0
    netns.until(connects, f"port {port} of the stack is open")


def test_curl(stack, program, big_file, tmp_path):
    server = stack.spawn(PYTHON, "-u", "-m", "http.server", "--bind", HOST, "--directory", tmp_path,
                         "8000")
    server.wait_for("Serving")
    finish(program("curl", "-sSf", "-o", str(tmp_path / "copy"), f"http://{HOST}:8000/big"))
    assert digest(tmp_path / "copy") == digest(big_file)


def test_http_server(stack, program, big_file, tmp_path):
    server = program(PYTHON, "-u", "-m", "http.server", "--directory", tmp_path, "8000")
    server.wait_for("Serving")
    stack.run("curl", "-sSf", "-o", tmp_path / "copy", f"http://{STACK}:8000/big")
    assert digest(tmp_path / "copy") == digest(big_file)


def test_asyncio(stack, program):
    """Edge- and level-triggered readiness, many connections, both roles in one program."""
    finish(program(*script("""
        import asyncio

        async def serve(reader, writer):
            while (line := await reader.readline()):
                writer.write(line.upper())
                await writer.drain()
            writer.close()

        async def client(i):
            reader, writer = await asyncio.open_connection("127.0.0.1", 5000)
            for j in range(20):
                writer.write(b"line %d %d\\n" % (i, j))
                assert await reader.readline() == b"LINE %d %d\\n" % (i, j)
            writer.close()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 5000)
            await asyncio.gather(*(client(i) for i in range(100)))
            server.close()

        asyncio.run(main())
    """)))


def test_socat(stack, program, big_file, tmp_path):
    """Half-close: socat sends a file, ends its half, and reads the answer."""
    server = stack.spawn("sh", "-c", f"socat TCP-LISTEN:5000,bind={HOST} SYSTEM:sha256sum")
    listens(stack, 5000)
    out = finish(program("socat", "-t", "30", f"FILE:{big_file}!!STDOUT", f"TCP:{HOST}:5000"))
    assert digest(big_file) in out
    server.wait()


def test_static_program(stack, program, tmp_path):
    """No shim gets into it, and none is needed."""
    source = tmp_path / "client.c"
    source.write_text(textwrap.dedent("""
        #include <arpa/inet.h>
        #include <stdio.h>
        #include <unistd.h>
        int main(void)
        {
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
            int s = socket(AF_INET, SOCK_STREAM, 0);
            char buffer[100];
            inet_pton(AF_INET, "10.0.0.1", &to.sin_addr);
            if (connect(s, (struct sockaddr *)&to, sizeof to) != 0)
                return 1;
            ssize_t n = read(s, buffer, sizeof buffer);
            return n == 6 && write(1, buffer, n) == n ? 0 : 2;
        }
    """))
    stack.run("gcc", "-static", "-o", tmp_path / "client", source)
    server = stack.spawn("sh", "-c", f"echo hello | nc -l -N {HOST} 5000")
    listens(stack, 5000)
    assert finish(program(str(tmp_path / "client"))) == "hello\n"
    finish(server)


def test_musl_program(stack, program, tmp_path):
    """Another libc, static."""
    source = tmp_path / "server.c"
    source.write_text(textwrap.dedent("""
        #include <netinet/in.h>
        #include <unistd.h>
        int main(void)
        {
            struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(5000)}, peer;
            socklen_t len = sizeof peer;
            int s = socket(AF_INET, SOCK_STREAM, 0);
            if (bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, 1))
                return 1;
            int c = accept(s, (struct sockaddr *)&peer, &len);
            unsigned char *ip = (unsigned char *)&peer.sin_addr;
            return c < 0 || len != sizeof peer || ip[0] != 10 || ip[3] != 1 || write(c, "musl", 4) != 4;
        }
    """))
    stack.run("musl-gcc", "-static", "-o", tmp_path / "server", source)
    server = program(str(tmp_path / "server"))
    answer = netns.until(lambda: stack.run("nc", "-d", STACK, "5000", check=False).stdout, "an answer")
    assert answer == "musl"
    finish(server)


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forth", "back"])
def test_iperf3_client(stack, program, udp, reverse):
    server = stack.spawn("iperf3", "-s", "-1", "-B", HOST)
    listens(stack, 5201)
    flags = (["-u", "-b", "100M"] if udp else []) + (["-R"] if reverse else [])
    report = json.loads(finish(program("iperf3", "-J", "-c", HOST, "-n", "20M", *flags)))
    assert "error" not in report
    assert report["end"]["sum" if udp else "sum_received"]["bytes"] >= 10_000_000
    server.wait()


def test_iperf3_server(stack, program):
    server = program("iperf3", "-s", "-1", "--forceflush")
    server.wait_for("Server listening")
    report = json.loads(stack.run("iperf3", "-J", "-c", STACK, "-n", "50M").stdout)
    assert report["end"]["sum_received"]["bytes"] >= 40_000_000
    finish(server)


NGINX = """
daemon off;
master_process on;
worker_processes 2;
pid {dir}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    sendfile on;
    server {{ listen 8000; root {dir}; location /up/ {{ proxy_pass http://127.0.0.1:8001/; }} }}
    server {{ listen 127.0.0.1:8001; root {dir}; }}
}}
"""


def test_nginx(stack, program, big_file, tmp_path):
    """Two workers with a listener each, sendfile, a proxy to itself, reload, an orderly end."""
    tmp_path.chmod(0o755)
    (tmp_path / "small").write_text("small\n")
    config = tmp_path / "nginx.conf"
    config.write_text("user root;\n" + NGINX.format(dir=tmp_path))
    server = program("nginx", "-c", str(config))
    answers(stack, 8000)
    for path in "big", "up/big":
        stack.run("curl", "-sSf", "-o", tmp_path / "copy", f"http://{STACK}:8000/{path}")
        assert digest(tmp_path / "copy") == digest(big_file)
    many = ["-o", "/dev/null", f"http://{STACK}:8000/small"] * 200
    assert stack.run("curl", "-sSf", "-w", "%{http_code} ", *many).stdout.split() == ["200"] * 200
    server.send(1)  # SIGHUP: new workers on the same listeners
    server.wait_for("reconfiguring", "err")
    stack.run("curl", "-sSf", "-o", "/dev/null", "--retry", "5", "--retry-all-errors",
              f"http://{STACK}:8000/small")
    server.send(3)  # SIGQUIT: an orderly end
    assert server.wait() == 0


def test_nginx_reuseport(stack, program, tmp_path):
    """Each of three workers has a listener of its own on one port, also after a reload."""
    (tmp_path / "nginx.conf").write_text(f"""
daemon off; worker_processes 3; user root; error_log stderr notice; pid {tmp_path}/pid;
events {{ worker_connections 64; }}
http {{ access_log off; server {{ listen 8000 reuseport; return 200 "$pid\\n"; }} }}
""")
    server = program("nginx", "-c", str(tmp_path / "nginx.conf"))
    answers(stack, 8000)
    one = ["-o", "-", "-H", "Connection: close", f"http://{STACK}:8000/"]

    def workers():
        return set(stack.run("curl", "-sSf", *one * 60).stdout.split())

    first = workers()
    assert len(first) == 3
    server.send(1)  # SIGHUP
    netns.until(lambda: len(workers() - first) == 3, "the new workers serve")
    server.send(3)  # SIGQUIT
    assert server.wait() == 0


def test_redis(stack, program):
    server = program("redis-server", "--save", "", "--port", "6379", "--protected-mode", "no")
    server.wait_for("Ready to accept connections")
    redis = ["redis-cli", "-h", STACK]
    for i in range(20):
        assert stack.run(*redis, "set", f"key{i}", f"value{i}").stdout == "OK\n"
    assert stack.run(*redis, "get", "key7").stdout == "value7\n"
    out = stack.run("redis-benchmark", "-h", STACK, "-q", "-n", "5000", "-c", "20", "-P", "4",
                    "-t", "ping,set,get", "-e").stdout
    assert "Error" not in out and len(re.findall(r"requests per second", out)) >= 3
    assert stack.run(*redis, "dbsize").stdout.strip().isdigit()
    stack.run(*redis, "shutdown", "nosave", check=False)
    assert server.wait() == 0


def test_ssh(stack, program, tmp_path):
    """sshd on the stack, the host's ssh and scp to it; and ssh on the stack to the host's sshd."""
    stack.run("mkdir", "-p", "/run/sshd")
    for name in "host", "user":
        stack.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    keys = tmp_path / "keys"
    keys.write_text((tmp_path / "user.pub").read_text())
    keys.chmod(0o600)
    sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "2222", "-h",
            str(tmp_path / "host"), "-o", f"AuthorizedKeysFile={keys}", "-o", "StrictModes=no",
            "-o", "UsePAM=no", "-o", "Subsystem=sftp internal-sftp", "-o", "PermitRootLogin=yes"]
    ssh = ["-F", "/dev/null", "-i", str(tmp_path / "user"), "-o", "StrictHostKeyChecking=no",
           "-o", f"UserKnownHostsFile={tmp_path}/known"]
    server = program(*sshd)
    server.wait_for("Server listening", "err")
    assert stack.run("ssh", *ssh, "-p", "2222", STACK, "echo $SSH_CONNECTION").stdout.split()[2:] \
        == [STACK, "2222"]
    (tmp_path / "file").write_bytes(os.urandom(3_000_000))
    stack.run("scp", *ssh, "-P", "2222", tmp_path / "file", f"{STACK}:{tmp_path}/copy")
    assert digest(tmp_path / "file") == digest(tmp_path / "copy")
    server.stop()
    host_server = stack.spawn(*sshd, "-o", f"ListenAddress={HOST}")
    host_server.wait_for("Server listening", "err")
    out = finish(program("ssh", *ssh, "-p", "2222", HOST, "echo $SSH_CONNECTION"))
    assert out.split()[0] == STACK
    host_server.stop()


def test_names(host):
    """dig and getaddrinfo() ask the name server that the daemon was told."""
    host.up("--dns", HOST)
    server = host.spawn("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--port", "53",
                        f"--listen-address={HOST}", "--bind-interfaces",
                        "--address=/www.example/192.0.2.80", "--conf-file=/dev/null")
    listens(host, 53, "u")
    for flags in [], ["--no-shim"]:
        run = lambda *argv: host.netstack("run", *flags, "--", *argv).stdout
        assert run("dig", "+short", "www.example") == "192.0.2.80\n"
        assert run("dig", "+short", "+tcp", "www.example") == "192.0.2.80\n"
        assert run(*script("import socket; print(socket.gethostbyname('www.example'))")) == \
            "192.0.2.80\n"
        assert run("getent", "ahostsv4", "www.example").split()[0] == "192.0.2.80"
    server.stop()


def test_ping(program):
    """By an ICMP echo socket, since raw ones aren't there."""
    assert "2 received" in finish(program("ping", "-n", "-c", "2", "-i", "0.2", HOST))


GO = """
package main

import ("fmt"; "io"; "net"; "net/http"; "os")

func main() {
    if os.Args[1] == "serve" {
        l, err := net.Listen("tcp4", ":8000")
        if err != nil { panic(err) }
        fmt.Println("ready")
        http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
            fmt.Fprint(w, r.RemoteAddr)
        }))
    }
    r, err := http.Get(os.Args[1])
    if err != nil { panic(err) }
    io.Copy(os.Stdout, r.Body)
}
"""


@pytest.mark.skipif(not shutil.which("go"), reason="needs Go")
def test_go(stack, program, tmp_path):
    """Static programs with a scheduler and a poller of their own."""
    (tmp_path / "main.go").write_text(GO)
    stack.run("go", "build", "-o", tmp_path / "program", tmp_path / "main.go", timeout=300,
              env={**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(tmp_path / "cache"),
                   "GO111MODULE": "off", "HOME": str(tmp_path)})
    server = program(str(tmp_path / "program"), "serve")
    server.wait_for("ready")
    assert stack.run("curl", "-sSf", f"http://{STACK}:8000/").stdout.startswith(HOST + ":")
    out = finish(program(str(tmp_path / "program"), f"http://{STACK}:8000/"))
    assert re.match(rf"({STACK}|127.0.0.1):\d+", out)
    server.stop()


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_node(stack, program):
    out = finish(program("node", "-e", """
        const http = require("http");
        const server = http.createServer((q, a) => q.pipe(a)).listen(8000, "127.0.0.1", async () => {
            const body = "x".repeat(1000000);
            const r = await fetch("http://127.0.0.1:8000/", {method: "POST", body});
            console.log((await r.text()) === body);
            server.close();
            process.exit(0);
        });
    """))
    assert out == "true\n"


@pytest.fixture(params=["shim", "traps"])
def far_program(request, internet):
    """(host, start): as `program`, on a stack whose host routes it to a server three hops away."""
    host = internet[0]
    host.up("--nat", "wan0")
    flags = [] if request.param == "shim" else ["--no-shim"]
    return host, lambda *argv: host.start("run", *flags, "--", *argv)


HOPS = ["10.0.0.1", "198.51.100.1", "8.8.8.8"]


@pytest.mark.parametrize("flags", [[], ["-I", "-N", "1"]], ids=["udp", "icmp"])
def test_traceroute(far_program, flags):
    _, start = far_program
    out = finish(start("traceroute", "-n", "-q", "1", *flags, "8.8.8.8"))
    assert re.findall(r"^ *\d+  (\S+)", out, re.M) == HOPS, out


def test_tracepath(far_program):
    _, start = far_program
    out = finish(start("tracepath", "-n", "8.8.8.8"))
    assert list(dict.fromkeys(re.findall(r"^ *\d+:  (\d\S+)", out, re.M))) == HOPS, out
    assert "pmtu 1500" in out and "reached" in out


def test_ping_warns_of_nothing(far_program):
    _, start = far_program
    process = start("ping", "-n", "-c", "2", "-i", "0.2", "8.8.8.8")
    assert "2 received" in finish(process)
    assert process.err == "" and "arning" not in process.out
