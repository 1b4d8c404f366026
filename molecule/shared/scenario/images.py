# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Images pushed to a registry on a host without Docker, by curl."""

from testinfra.host import Host

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
PUSH = r"""
set -eu
data=$(mktemp)
{layer}
digest=sha256:$(sha256sum $data | cut -d' ' -f1)
upload() {{
  location=$(curl -fsS -o /dev/null -D - -X POST {at}/v2/{repository}/blobs/uploads/ | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' --data-binary @$1 {at}"$location&digest=$2"
}}
upload $data $digest
config=sha256:$(sha256sum $data.config | cut -d' ' -f1); upload $data.config $config
kind={kind}
blob() {{ printf '{{"mediaType":"application/vnd.docker.%s","size":%s,"digest":"%s"}}' $1 $(stat -c %s $2) $3; }}
printf '{{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}}' $kind \
  "$(blob container.image.v1+json $data.config $config)" "$(blob image.rootfs.diff.tar.gzip $data $digest)" >$data.manifest
curl -fsS -o /dev/null -X PUT -H "Content-Type: $kind" --data-binary @$data.manifest {at}/v2/{repository}/manifests/1
rm -rf $data*
echo $digest
"""
BYTES = "head -c {size} /dev/urandom >$data; printf '{{}}' >$data.config"
FILES = r"""
mkdir $data.d; head -c {size} /dev/urandom >$data.d/file; tar -C $data.d -cf $data.tar .; gzip -c $data.tar >$data
printf '{{"architecture":"%s","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:%s"]}}}}' \
  $(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/') $(sha256sum $data.tar | cut -d' ' -f1) >$data.config
"""


def push(host: Host, at: str, repository: str, size: int = 5000, *, unpacks: bool = False) -> str:
    """An image of one layer of random bytes, tagged 1, at a registry that asks no password. Returns the layer's digest.

    at is what curl is told of the registry, such as http://127.0.0.1:5000 or --unix-socket PATH http://any. An image that unpacks has
    a file of this size in its layer, so that clients can do more than fetch it.
    """
    layer = (FILES if unpacks else BYTES).format(size=size)
    return host.check_output(PUSH.format(at=at, repository=repository, layer=layer, kind=MANIFEST)).strip()
