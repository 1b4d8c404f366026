"""Role redis alone: bounded, evicting, closed without its password, nothing on disk."""

import testinfra

testinfra_hosts = ["ansible://alone-redis"]
CLI = "redis-cli -p 6380"
WITH_PASSWORD = f"REDISCLI_AUTH=sixteen-characters-at-least {CLI}"


def test_it_needs_the_password(host):
    assert "NOAUTH" in host.run(f"{CLI} ping").stdout
    assert host.check_output(f"{WITH_PASSWORD} ping") == "PONG"


def test_another_host_reaches_it_with_the_password_only(host):
    other = testinfra.get_host("ansible://alone-ca?ansible_inventory=" + host.backend.ansible_inventory)
    address = host.interface("eth0").addresses[0]

    def ask(*lines):
        sent = "".join(f"{line}\\r\\n" for line in lines)
        return other.check_output(f"bash -c \"exec 3<>/dev/tcp/{address}/6380; printf '{sent}' >&3; timeout 2 head -n {len(lines)} <&3\"")

    assert "NOAUTH" in ask("PING")
    assert "PONG" in ask("AUTH sixteen-characters-at-least", "PING")


def test_it_evicts_rather_than_refuse_or_grow(host):
    host.check_output("redis-benchmark -p 6380 -a sixteen-characters-at-least -t set -n 4000 -r 1000000 -d 32768 -q")
    used = host.check_output(f"{WITH_PASSWORD} info memory | tr -d '\\r' | sed -n 's/^used_memory:\\([0-9]*\\)$/\\1/p'")
    assert int(used) < 70 * 1024 * 1024
    assert int(host.check_output(f"{WITH_PASSWORD} info stats | tr -d '\\r' | sed -n 's/^evicted_keys://p'")) > 500
    host.check_output(f"{WITH_PASSWORD} flushall")


def test_nothing_is_written_to_disk(host):
    host.check_output(f"{WITH_PASSWORD} set kept no")
    host.check_output("systemctl restart redis-server@cache")
    assert host.check_output(f"{WITH_PASSWORD} exists kept") == "0"
    assert host.check_output("find /var/lib/redis -name '*.rdb' -o -name '*.aof'") == ""


def test_only_the_asked_for_instance_runs(host):
    assert host.service("redis-server@cache").is_running
    assert host.service("redis-server@cache").is_enabled
    assert not host.socket("tcp://127.0.0.1:6379").is_listening
