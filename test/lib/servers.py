"""The real servers around the daemon: nginx as a region's endpoint, unbound as a customer's resolver.

Both run in a temporary folder on a loopback address of their own, as whoever runs the tests.
"""

import getpass
import os
import socket
import ssl
import subprocess

import dns.exception
import dns.message
import dns.query

from leeward import dig
from process import Process, clean_environment, free_port

NGINX = "/usr/sbin/nginx"
UNBOUND = "/usr/sbin/unbound"
OPENSSL = "/usr/bin/openssl"


def make_certificate(folder, name="localhost"):
    """(certificate, key) files of a self-signed certificate for the name; made once a folder and name."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if not certificate.exists():
        subprocess.run([OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", certificate, "-days", "30", "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=DNS:{name}"],
                       check=True, capture_output=True, env=clean_environment(HOME=str(folder)))
    return certificate, key


class Nginx(Process):
    """A region's web server: HTTPS and HTTP, with a /health page that names the region.

    kill, pause and resume act on master and workers together, as if the region were gone.
    """

    def __init__(self, folder, address, region, server_name="localhost", name=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.region = region
        self.server_name = server_name
        self.https_port = free_port(address)
        self.http_port = free_port(address)
        self.pages = {"/health": (200, f"{region} is healthy")}
        self.access_log = folder / "access.log"
        self.configuration = folder / "nginx.conf"
        super().__init__(name or f"nginx-{region}", [NGINX, "-p", folder, "-e", "stderr", "-c", self.configuration],
                         folder)

    def write(self):
        certificate, key = make_certificate(self.folder, self.server_name)
        user = f"user {getpass.getuser()};\n" if os.getuid() == 0 else ""
        pages = "".join(f'        location = {path} {{ default_type text/plain; return {status} "{body}\\n"; }}\n'
                        for path, (status, body) in self.pages.items())
        temporary = "".join(f"    {kind}_temp_path {self.folder}/{kind};\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.configuration.write_text(f"""\
{user}daemon off;
worker_processes 1;
pid {self.folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
{temporary}    access_log {self.access_log};
    server {{
        listen {self.address}:{self.https_port} ssl;
        listen {self.address}:{self.http_port};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
{pages}    }}
}}
""")

    def start(self):
        self.write()
        self.spawn()
        self.wait_until(self.answers, 10, f"nginx of {self.region} answers")
        return self

    def respond(self, path="/health", status=200, body=None):
        """Changes a page of the running server; the change shows within milliseconds, wait for what it causes."""
        self.pages[path] = (status, body if body is not None else f"{self.region} is healthy")
        self.write()
        self.hang_up()  # the master

    def answers(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with socket.create_connection((self.address, self.https_port), timeout=1) as plain, \
                    context.wrap_socket(plain, server_hostname=self.server_name):
                return True
        except OSError:
            return False

    def requests(self):
        """The lines of its access log so far."""
        return self.access_log.read_text().splitlines() if self.access_log.exists() else []


class Unbound(Process):
    """A caching resolver that asks the daemon for the zones given, and honours TTLs as they are."""

    def __init__(self, folder, address, zones, name="unbound"):
        """zones: {zone name: (address, port) of the server that has it}."""
        folder.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.port = free_port(address)
        self.zones = dict(zones)
        self.configuration = folder / "unbound.conf"
        super().__init__(name, [UNBOUND, "-d", "-p", "-c", self.configuration], folder)

    @property
    def server(self):
        return self.address, self.port

    def write(self):
        stubs = "".join(f"stub-zone:\n    name: \"{name}\"\n    stub-addr: {address}@{port}\n    stub-prime: no\n"
                        for name, (address, port) in self.zones.items())
        insecure = "".join(f"    domain-insecure: \"{name}\"\n    local-zone: \"{name}\" nodefault\n"
                           for name in self.zones)
        self.configuration.write_text(f"""\
server:
    interface: {self.address}
    port: {self.port}
    outgoing-interface: {self.address}
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    do-ip6: no
    username: ""
    chroot: ""
    pidfile: ""
    directory: "{self.folder}"
    use-syslog: no
    logfile: ""
    num-threads: 1
    module-config: "iterator"
    do-not-query-localhost: no
    cache-min-ttl: 0
    serve-expired: no
    prefetch: no
    infra-keep-probing: yes
{insecure}remote-control:
    control-enable: no
{stubs}""")

    def start(self):
        self.write()
        self.spawn()
        self.wait_until(self.answers, 10, "unbound answers")
        return self

    def answers(self):
        query = dns.message.make_query("version.bind.", "TXT", "CH")
        try:
            dns.query.udp(query, self.address, port=self.port, timeout=0.1)
            return True
        except (OSError, dns.exception.DNSException):
            return False

    def dig(self, name, kind="A", *options, **settings):
        """Asks the resolver as a customer would: recursion desired."""
        return dig(self.server, name, kind, "+rec", *options, **settings)
