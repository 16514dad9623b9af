"""netstack run: well-known programs do real work on the stack, unmodified, with the shim and without.

$NETSTACK_RUN_MIB says how large the files are that they transfer (64).
"""
import hashlib
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import textwrap

import pytest

import netns
from conftest import PYTHON, finish, script

STACK, HOST = "10.0.0.2", "10.0.0.1"
MEBIBYTES = int(os.environ.get("NETSTACK_RUN_MIB", "64"))


@pytest.fixture
def big_file(tmp_path):
    """No two of its blocks are alike."""
    block = os.urandom(1 << 20)
    with open(tmp_path / "big", "wb") as file:
        for i in range(MEBIBYTES):
            file.write(i.to_bytes(8, "big") + block[8:])
    tmp_path.chmod(0o755)  # for servers that give up their rights
    return tmp_path / "big"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listens(host, port, protocol="t"):
    netns.until(lambda: host.run("ss", f"-Hln{protocol}", f"sport = {port}").stdout, f"{port} is open")


def answers(host, port):
    def connects():
        with host.socket() as client:
            return client.connect_ex((STACK, port)) == 0
    netns.until(connects, f"port {port} of the stack is open")


def at_rest(server):
    """Waits until a server that forks has no children. The signal of a child that ends while the server
    accepts the next connection can take that away from it, if it runs without the shim (ADR 7)."""
    children = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children")
    netns.until(lambda: not children.read_text(), "its children have gone")


def serves(host, port, server):
    """Waits until such a server has served a connection, whose end the child has seen."""
    def speaks():
        with host.socket() as client:
            client.settimeout(netns.PATIENCE)
            if client.connect_ex((STACK, port)) != 0:
                return False
            client.shutdown(socket.SHUT_WR)
            return client.recv(1) != b""
    netns.until(speaks, f"port {port} of the stack is served")
    at_rest(server)


WEB = """
daemon off;
user root;
master_process off;
pid {dir}/web.pid;
error_log stderr notice;
events {{ }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    sendfile on;
    server {{ listen {address}:8000; root {dir}; dav_methods PUT; }}
}}
"""


@pytest.fixture
def web(stack, big_file, tmp_path):
    """web(ADDRESS, start): a server from which files can be had, and which takes them."""
    def serve(address, start):
        config = tmp_path / "web.conf"
        config.write_text(WEB.format(dir=tmp_path, address=address))
        server = start("nginx", "-c", str(config))
        netns.until(lambda: stack.run("curl", "-s", "-I", f"http://{address}:8000/",
                                      check=False).returncode == 0, "nginx serves")
        return server
    return serve


def test_curl(stack, web, program, big_file, tmp_path):
    """Down and up, and up to a server on the stack."""
    web(HOST, stack.spawn)
    finish(program("curl", "-sSf", "-o", str(tmp_path / "copy"), f"http://{HOST}:8000/big"))
    assert digest(tmp_path / "copy") == digest(big_file)
    finish(program("curl", "-sSf", "-T", str(big_file), f"http://{HOST}:8000/up"))
    assert digest(tmp_path / "up") == digest(big_file)


def test_upload_to_nginx(stack, web, program, big_file, tmp_path):
    server = web(STACK, program)
    stack.run("curl", "-sSf", "-T", big_file, f"http://{STACK}:8000/up", timeout=300)
    assert digest(tmp_path / "up") == digest(big_file)
    assert server.stop() == 0


def test_wget(stack, web, program, big_file, tmp_path):
    """It takes up a transfer where another ended."""
    web(HOST, stack.spawn)
    copy = tmp_path / "copy"
    with open(big_file, "rb") as file:
        copy.write_bytes(file.read(12345678))
    finish(program("wget", "-q", "-c", "-O", str(copy), f"http://{HOST}:8000/big"))
    assert digest(copy) == digest(big_file)


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


def test_socat_server(stack, program, big_file):
    """It forks for each connection, whose half it must see ended before it can answer."""
    server = program("socat", "TCP-LISTEN:5000,fork", "SYSTEM:sha256sum")
    serves(stack, 5000, server)
    for _ in range(3):
        out = stack.run("sh", "-c", f"nc -N {STACK} 5000 <{big_file}").stdout
        assert digest(big_file) in out
        at_rest(server)
    server.stop()


BOTH_WAYS = [pytest.param(udp, back, id=f"{'udp' if udp else 'tcp'}-{'back' if back else 'forth'}")
             for udp in (False, True) for back in (False, True)]


def iperf3_bytes(report, udp):
    report = json.loads(report)
    assert "error" not in report
    return report["end"]["sum" if udp else "sum_received"]["bytes"]


def iperf3_flags(udp, back):
    return ["-n", "20M"] + (["-u", "-b", "100M"] if udp else []) + (["-R"] if back else [])


@pytest.mark.parametrize("udp, back", BOTH_WAYS)
def test_iperf3_client(stack, program, udp, back):
    server = stack.spawn("iperf3", "-s", "-1", "-B", HOST)
    listens(stack, 5201)
    report = finish(program("iperf3", "-J", "-c", HOST, *iperf3_flags(udp, back)))
    assert iperf3_bytes(report, udp) >= 10_000_000
    server.wait()


@pytest.mark.parametrize("udp, back", BOTH_WAYS)
def test_iperf3_server(stack, program, udp, back):
    server = program("iperf3", "-s", "-1", "--forceflush")
    server.wait_for("Server listening")
    report = stack.run("iperf3", "-J", "-c", STACK, *iperf3_flags(udp, back)).stdout
    assert iperf3_bytes(report, udp) >= 10_000_000
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
    """Workers that share a listener, sendfile, a proxy to itself, connections kept alive, load, reload,
    an orderly end."""
    (tmp_path / "small").write_text("small\n")
    config = tmp_path / "nginx.conf"
    config.write_text("user root;\n" + NGINX.format(dir=tmp_path))
    server = program("nginx", "-c", str(config))
    answers(stack, 8000)
    for path in "big", "up/big":
        stack.run("curl", "-sSf", "-o", tmp_path / "copy", f"http://{STACK}:8000/{path}")
        assert digest(tmp_path / "copy") == digest(big_file)
    many = ["-o", "/dev/null", f"http://{STACK}:8000/small"] * 200
    told = stack.run("curl", "-sSf", "-w", "%{http_code}/%{num_connects} ", *many).stdout.split()
    assert told == ["200/1"] + ["200/0"] * 199

    def served(header):
        """How many requests in a second, all of them well."""
        load = stack.run("wrk", "-t", "1", "-c", "32", "-d", "1", "--timeout", "30", "-H", header,
                         f"http://{STACK}:8000/small").stdout
        assert "Socket errors" not in load and "Non-2xx" not in load, load
        return int(re.search(r"(\d+) requests in", load)[1])

    for header in "Connection: keep-alive", "Connection: close":
        counts = []
        netns.until(lambda: counts.append(served(header)) or sum(counts) > 1000, "it serves many")
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


class Redis:
    """A client that sends many commands at once, and compares what comes back."""

    def __init__(self, sock):
        self.sock, self.file = sock, sock.makefile("rb")

    def send(self, *commands):
        self.sock.sendall(b"".join(
            b"*%d\r\n" % len(c) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in c)
            for c in commands))

    def reply(self):
        line = self.file.readline().rstrip()
        if not line.startswith(b"$"):
            return line
        return self.file.read(int(line[1:]) + 2)[:-2]


def test_redis(stack, program):
    """Every answer is the right one, also while redis-benchmark keeps the server busy."""
    server = program("redis-server", "--save", "", "--port", "6379", "--protected-mode", "no")
    server.wait_for("Ready to accept connections")
    load = stack.spawn("redis-benchmark", "-h", STACK, "-q", "-n", "10000", "-c", "20", "-P", "4",
                       "-t", "ping,set,get,lpush,lrange_100", "-e")
    seeded = random.Random(1)
    values = {b"key%d" % i: seeded.randbytes(seeded.choice((1, 100, 5_000, 300_000)))
              for i in range(200)}
    with stack.socket() as sock:
        sock.settimeout(netns.PATIENCE)
        sock.connect((STACK, 6379))
        redis = Redis(sock)
        redis.send(*((b"SET", *item) for item in values.items()))
        assert [redis.reply() for _ in values] == [b"+OK"] * len(values)
        for _ in range(3):
            keys = seeded.sample(sorted(values), 20)
            redis.send(*((b"GET", key) for key in keys))
            for key in keys:
                assert redis.reply() == values[key]
    out = finish(load)
    assert "Error" not in out and len(re.findall(r"requests per second", out)) >= 5, out
    stack.run("redis-cli", "-h", STACK, "shutdown", "nosave", check=False)
    assert server.wait() == 0


@pytest.fixture
def certificate(stack, tmp_path):
    """The files of a key and of its certificate, for both addresses."""
    key, cert = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    stack.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
              "-nodes", "-days", "2", "-subj", "/CN=netstack", "-addext",
              f"subjectAltName=IP:{STACK},IP:{HOST}", "-keyout", key, "-out", cert)
    return key, cert


def test_openssl(stack, program, big_file, certificate, tmp_path):
    """TLS both ways round: s_server on the stack for the host's curl, then s_client on the stack."""
    key, cert = certificate

    def serve(start, address):
        server = start("sh", "-c", f"cd {tmp_path} && exec openssl s_server -WWW -naccept 1 -key {key} "
                                   f"-cert {cert} -accept {address}:4433")
        server.wait_for("ACCEPT")
        return server

    server = serve(program, STACK)
    stack.run("curl", "-sSf", "--cacert", cert, "-o", tmp_path / "copy", f"https://{STACK}:4433/big")
    assert digest(tmp_path / "copy") == digest(big_file)
    server.wait()
    server = serve(stack.spawn, HOST)
    finish(program("sh", "-c", f"printf 'GET /big HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet "
                               f"-connect {HOST}:4433 -CAfile {cert} -verify_return_error "
                               f">{tmp_path}/answer"))
    answer = (tmp_path / "answer").read_bytes().partition(b"\r\n\r\n")[2]
    assert hashlib.sha256(answer).hexdigest() == digest(big_file)
    server.wait()


def ssh_keys(stack, directory):
    """Makes what an sshd needs: the keys `host` and `user`, and the file of keys that may log in."""
    stack.run("mkdir", "-p", "/run/sshd")
    for name in "host", "user":
        stack.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name)
    keys = directory / "keys"
    keys.write_text((directory / "user.pub").read_text())
    keys.chmod(0o600)
    return keys


def test_ssh(stack, program, tmp_path):
    """sshd on the stack, the host's ssh and scp to it; and ssh on the stack to the host's sshd."""
    keys = ssh_keys(stack, tmp_path)
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
    at_rest(server)
    stack.run("scp", *ssh, "-P", "2222", tmp_path / "file", f"{STACK}:{tmp_path}/copy")
    assert digest(tmp_path / "file") == digest(tmp_path / "copy")
    server.stop()
    host_server = stack.spawn(*sshd, "-o", f"ListenAddress={HOST}")
    host_server.wait_for("Server listening", "err")
    out = finish(program("ssh", *ssh, "-p", "2222", HOST, "echo $SSH_CONNECTION"))
    assert out.split()[0] == STACK
    host_server.stop()


def test_ssh_shared(stack, program, tmp_path):
    """One connection for several sessions and for forwarding, either way and as a SOCKS proxy."""
    keys = ssh_keys(stack, tmp_path)
    sshd = stack.spawn("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "2222", "-h",
                       str(tmp_path / "host"), "-o", f"AuthorizedKeysFile={keys}", "-o",
                       "StrictModes=no", "-o", "UsePAM=no", "-o", "PermitRootLogin=yes",
                       "-o", f"ListenAddress={HOST}")
    sshd.wait_for("Server listening", "err")
    web = stack.spawn(PYTHON, "-u", "-m", "http.server", "--bind", HOST, "--directory", tmp_path, "8000")
    web.wait_for("Serving")
    ssh = (f"ssh -F /dev/null -i {tmp_path}/user -o StrictHostKeyChecking=no -p 2222 "
           f"-o UserKnownHostsFile={tmp_path}/known -o ControlPath=/run/%p")
    out = finish(program("sh", "-ec", f"""
        {ssh} -M -N -f -L 7000:{HOST}:8000 -D 7001 {HOST}
        for i in 1 2 3; do {ssh} {HOST} 'echo $SSH_CONNECTION' & done; wait
        curl -sSf http://127.0.0.1:7000/user.pub
        curl -sSf --socks5 127.0.0.1:7001 http://{HOST}:8000/user.pub
        {ssh} -R 7002:127.0.0.1:7000 {HOST} 'curl -sSf http://127.0.0.1:7002/user.pub'
        {ssh} -O exit {HOST}
    """))
    lines = out.splitlines()
    assert lines[0].startswith(STACK) and lines[:3] == [lines[0]] * 3, out
    assert "\n".join(lines[3:]) + "\n" == 3 * (tmp_path / "user.pub").read_text()
    sshd.stop()
    web.stop()


def test_git(stack, program, tmp_path):
    """git's own server, which starts a process with each connection as its standard streams."""
    stack.run("sh", "-ec", f"""
        git init -q {tmp_path}/a; cd {tmp_path}/a
        head -c 3000000 /dev/urandom >file; git add file
        git -c user.name=n -c user.email=e commit -q -m one
    """)
    serve = ["git", "daemon", "--reuseaddr", "--export-all", f"--base-path={tmp_path}"]
    server = program(*serve)
    answers(stack, 9418)
    stack.run("git", "clone", "-q", f"git://{STACK}/a", tmp_path / "b")
    server.stop()
    server = stack.spawn(*serve, f"--listen={HOST}")
    listens(stack, 9418)
    finish(program("git", "clone", "-q", f"git://{HOST}/a", tmp_path / "c"))
    server.stop()
    assert digest(tmp_path / "a/file") == digest(tmp_path / "b/file") == digest(tmp_path / "c/file")


def test_rsync(stack, program, tmp_path):
    """Both directions at once on one connection, in both roles."""
    source = tmp_path / "source"
    source.mkdir()
    for i in range(10):
        (source / f"{i}").write_bytes(os.urandom(100_000 * i))
    (tmp_path / "conf").write_text("use chroot = no\nuid = root\ngid = root\nread only = no\n"
                                   f"reverse lookup = no\n[all]\npath = {tmp_path}\n")
    serve = ["rsync", "--daemon", "--no-detach", "--port=8730", f"--config={tmp_path}/conf"]
    server = program(*serve)
    serves(stack, 8730, server)
    stack.run("rsync", "-a", f"{source}/", f"rsync://{STACK}:8730/all/there/")
    server.stop()
    server = stack.spawn(*serve, f"--address={HOST}")
    listens(stack, 8730)
    finish(program("rsync", "-a", f"rsync://{HOST}:8730/all/there/", f"{tmp_path}/back/"))
    server.stop()
    for file in source.iterdir():
        assert digest(file) == digest(tmp_path / "back" / file.name)


def test_ftp(request, stack, program, tmp_path):
    """Passive and active: whoever connects for the data must see the address of the control
    connection; and the server has a sandbox of its own."""
    # Without the shim a signal can end socket() for a program that has it restart nothing.
    tries = 1 if request.node.callspec.params["program"] == "shim" else 5
    tmp_path.chmod(0o755)
    stack.run("mkdir", "/run/vsftpd")
    (tmp_path / "file").write_bytes(os.urandom(2_000_000))
    for address, serve, get in (STACK, program, stack.spawn), (HOST, stack.spawn, program):
        config = tmp_path / "conf"
        config.write_text(f"listen=YES\nlisten_address={address}\nlisten_port=2121\nbackground=NO\n"
                          f"anonymous_enable=YES\nanon_root={tmp_path}\n"
                          "secure_chroot_dir=/run/vsftpd\n")
        server = serve("vsftpd", str(config))
        if address == STACK:
            serves(stack, 2121, server)
        else:
            listens(stack, 2121)
        for passive in "true", "false":
            finish(get("lftp", "-c", f"set ftp:passive-mode {passive}; set net:max-retries {tries}; "
                                     "set net:reconnect-interval-base 1; "
                                     f"open -p 2121 {address}; get file -o /run/copy"))
            assert digest(f"{stack.root}/run/copy") == digest(tmp_path / "file")
            stack.run("rm", "/run/copy")
            at_rest(server)
        server.stop()


def test_memcached(stack, program):
    """Threads that hand connections to each other, over TCP; and UDP."""
    server = program("memcached", "-u", "root", "-l", "0.0.0.0", "-p", "11211", "-U", "11211")
    answers(stack, 11211)
    value = os.urandom(300_000)
    for _ in range(8):
        with stack.socket() as client:
            client.settimeout(netns.PATIENCE)
            client.connect((STACK, 11211))
            file = client.makefile("rb")
            client.sendall(b"set key 0 0 %d\r\n%s\r\nget key\r\n" % (len(value), value))
            assert file.readline() == b"STORED\r\n" and file.readline().startswith(b"VALUE")
            assert file.read(len(value)) == value
    with stack.socket(2, 2) as client:
        client.settimeout(netns.PATIENCE)
        client.sendto(b"\0\1\0\0\0\1\0\0version\r\n", (STACK, 11211))
        assert b"VERSION" in client.recv(100)
    assert server.stop() == 0


def test_make(stack, program, tmp_path):
    """It starts its commands by posix_spawn(), which is vfork(), several at once."""
    web = stack.spawn(PYTHON, "-u", "-m", "http.server", "--bind", HOST, "--directory", tmp_path, "8000")
    web.wait_for("Serving")
    (tmp_path / "Makefile").write_text("all: 1 2 3 4 5 6 7 8\n%:\n"
                                       f"\t@curl -sSf -o $@ http://{HOST}:8000/Makefile\n")
    finish(program("make", "-s", "-j4", "-C", tmp_path))
    assert {(tmp_path / f"{i}").read_text() for i in range(1, 9)} == \
        {(tmp_path / "Makefile").read_text()}
    web.stop()


def test_strace(stack, program, tmp_path):
    """A program that is traced, on the stack."""
    web = stack.spawn(PYTHON, "-u", "-m", "http.server", "--bind", HOST, "8000")
    web.wait_for("Serving")
    finish(program("strace", "-f", "-o", tmp_path / "trace", "curl", "-sSf", "-o", "/dev/null",
                   f"http://{HOST}:8000/"))
    assert f'inet_addr("{HOST}")' in (tmp_path / "trace").read_text()
    web.stop()


def test_name_server(stack, program):
    """dnsmasq on all addresses: it wants to know by which interface a question came."""
    server = program("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--user=root",
                     "--address=/www.example/192.0.2.80", "--conf-file=/dev/null")
    server.wait_for("started", "err")
    answers(stack, 53)
    for run, address in (stack.spawn, STACK), (program, STACK), (program, "127.0.0.1"):
        assert finish(run("dig", "+short", f"@{address}", "www.example")) == "192.0.2.80\n"
    server.stop()


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
    assert "2 received" in finish(program("ping", "-n", "-c", "2", HOST))


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


@pytest.fixture(scope="module")
def go_program(tmp_path_factory):
    directory = tmp_path_factory.mktemp("go")
    (directory / "main.go").write_text(GO)
    subprocess.run(["go", "build", "-o", directory / "program", directory / "main.go"], check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(directory / "cache"),
                        "GO111MODULE": "off", "HOME": str(directory)})
    return str(directory / "program")


def test_go(stack, program, go_program):
    """Static programs with a scheduler and a poller of their own."""
    server = program(go_program, "serve")
    server.wait_for("ready")
    assert stack.run("curl", "-sSf", f"http://{STACK}:8000/").stdout.startswith(HOST + ":")
    out = finish(program(go_program, f"http://{STACK}:8000/"))
    assert re.match(rf"({STACK}|127.0.0.1):\d+", out)
    server.stop()


def test_node(stack, program):
    """A server on the stack, for the host's curl and for fetch() in the same program."""
    server = program("node", "-e", f"""
        const http = require("http");
        const server = http.createServer((q, a) => q.pipe(a)).listen(8000, async () => {{
            const body = "x".repeat(1000000);
            for (const address of ["127.0.0.1", "{STACK}"]) {{
                const r = await fetch(`http://${{address}}:8000/`, {{method: "POST", body}});
                console.log((await r.text()) === body);
            }}
            console.log("ready");
        }});
        process.on("SIGTERM", () => process.exit(0));
    """)
    server.wait_for("true\ntrue\nready")
    assert stack.run("curl", "-sSf", "-d", "from outside", f"http://{STACK}:8000/").stdout == \
        "from outside"
    assert server.stop() == 0


def test_node_without_io_uring(stack, program):
    """libuv would use it for files and more, and does without it."""
    web = stack.spawn(PYTHON, "-u", "-m", "http.server", "--bind", HOST, "8000")
    web.wait_for("Serving")
    out = finish(program("env", "UV_USE_IO_URING=1", "node", "-e", f"""
        const fs = require("fs");
        const link = (fd) => {{
            try {{ return fs.readlinkSync("/proc/self/fd/" + fd); }} catch {{ return ""; }}
        }};
        fs.readFile("/etc/passwd", async (error, data) => {{
            const rings = fs.readdirSync("/proc/self/fd").filter((fd) => link(fd).includes("io_uring"));
            const answer = await fetch("http://{HOST}:8000/");
            console.log(rings.length, data.length > 0, answer.status);
        }});
    """))
    assert out == "0 true 200\n"
    web.stop()


def test_mixed_readiness(stack, program):
    """One epoll instance for sockets, pipes, timers and signals, level- and edge-triggered."""
    server = program(*script("""
        import errno, os, select, signal, socket, sys
        poll, chunk = select.epoll(), 100000
        listener = socket.create_server(("", 5000))
        listener.setblocking(False)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("", 5000))
        ear, mouth = os.pipe()
        os.set_blocking(mouth, False)
        signal.set_wakeup_fd(mouth)
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        for thing in listener, udp, ear:
            poll.register(thing, select.EPOLLIN)
        try:
            poll.register(open("/etc/passwd"), select.EPOLLIN)
            assert False
        except PermissionError:
            pass
        print("ready")
        streams, beats, ended = {}, 0, 0
        while ended < 5 or beats < 3:
            for fd, events in poll.poll():
                if fd == listener.fileno():
                    c, _ = listener.accept()
                    c.setblocking(False)
                    streams[c.fileno()] = [c, bytearray(), False]
                    poll.register(c, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
                elif fd == udp.fileno():
                    data, peer = udp.recvfrom(100)
                    udp.sendto(data + b"!", peer)
                elif fd == ear:
                    beats += len(os.read(ear, 100))
                else:
                    c, todo, over = streams[fd]
                    try:
                        while not over:
                            data = c.recv(chunk)
                            over = streams[fd][2] = not data
                            todo += data
                    except BlockingIOError:
                        pass
                    try:
                        while todo:
                            del todo[:c.send(todo)]
                        if over:
                            poll.unregister(fd)
                            c.close()
                            ended += 1
                    except BlockingIOError:
                        pass
        signal.setitimer(signal.ITIMER_REAL, 0)
    """))
    server.wait_for("ready")
    finish(stack.spawn(*script(f"""
        import os, socket, threading
        def echo(i):
            data = os.urandom(3000000)
            c = socket.create_connection(("{STACK}", 5000))
            sender = threading.Thread(target=lambda: (c.sendall(data), c.shutdown(1)))
            sender.start()
            back = b"".join(iter(lambda: c.recv(65536), b""))
            assert back == data, (len(back), i)
        threads = [threading.Thread(target=echo, args=(i,)) for i in range(5)]
        for t in threads:
            t.start()
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.settimeout(30)
        u.sendto(b"hello", ("{STACK}", 5000))
        assert u.recv(100) == b"hello!"
        for t in threads:
            t.join()
    """)))
    finish(server)


def test_handed_to_another_program(stack, program, tmp_path):
    """A connection and a listener go to a program that was started apart, with its own supervisor."""
    taker = program(*script(f"""
        import socket
        door = socket.socket(socket.AF_UNIX)
        door.bind("{tmp_path}/door")
        door.listen()
        print("ready")
        way, _ = door.accept()
        _, fds, _, _ = socket.recv_fds(way, 1, 2)
        c, listener = (socket.socket(fileno=fd) for fd in fds)
        c.sendall(b"%d" % c.getpeername()[1])
        c.close()
        c, peer = listener.accept()
        assert c.getsockname() == ("{STACK}", 5000)
        c.sendall(b"%d" % peer[1])
    """))
    taker.wait_for("ready")
    giver = program(*script(f"""
        import socket
        listener = socket.create_server(("", 5000))
        print("ready")
        c, _ = listener.accept()
        way = socket.socket(socket.AF_UNIX)
        way.connect("{tmp_path}/door")
        socket.send_fds(way, [b"x"], [c.fileno(), listener.fileno()])
    """))
    giver.wait_for("ready")
    for who in giver, taker:
        with stack.socket() as client:
            client.settimeout(netns.PATIENCE)
            client.connect((STACK, 5000))
            assert int(client.recv(100)) == client.getsockname()[1]
        finish(who)


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
    process = start("ping", "-n", "-c", "2", "8.8.8.8")
    assert "2 received" in finish(process)
    assert process.err == "" and "arning" not in process.out
