# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known releases of CNCF Distribution: the SHA-256 checksums of their archives, by version and architecture.

To add a release, copy from its page, https://github.com/distribution/distribution/releases, the content of the file that is named
like the archive with .sha256 at the end. Compare it with a second source that has checked the archive on its own, such as the
Dockerfile of the image docker.io/library/registry. An archive that only one source vouches for is left out: whoever wants it
sets its checksum.
"""

from __future__ import annotations

URL = "https://github.com/distribution/distribution/releases/download/v{version}/registry_{version}_linux_{arch}.tar.gz"

# By what the kernel calls them (uname -m).
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv7", "ppc64le": "ppc64le", "s390x": "s390x"}

CHECKSUMS = {
    "2.8.2": {
        "amd64": "sha256:b68ffb849bcdb49639dc91ba97baba6618346f95fedc0fcc94871b31d515d205",
        "arm64": "sha256:3d500cf4f7f21ade4bdfef28012aef8e1ec2b221d2d8d36d201d94dda84fa727",
        "armv7": "sha256:045154b2be7a6a3b5d35e14e9afcd29d01813f46ce7ea2ea40958048b621dfd0",
        "ppc64le": "sha256:21f5523bb0815af9b7e41b52824d422679309773a14a841e8e685e1f521c1ee0",
        "s390x": "sha256:2ec05870ffa8c47e764e8de08d00dd0748698cf36394e4b3a503a1339b93e251",
    },
    "2.8.3": {
        "amd64": "sha256:b1f750ecbe09f38e2143e22c61a25e3da2afe1510d9522859230b480e642ceff",
        "arm64": "sha256:7d2252eeeac97dd60fb9b36bebd15b95d7f947c4c82b8e0824cb55233ece9cd0",
        "armv7": "sha256:d3d7d958a7cc04159d43871261b1ed470ba72531d345fada311068962b967517",
        "ppc64le": "sha256:9003659e5571bee89ee6d686057d02e9c0896d327276f268189922036e1ca84b",
        "s390x": "sha256:2c1347c73f881c320ff707055aecf649a888df39252e8bdc4fdfac7f59a383f1",
    },
    "3.0.0": {
        "amd64": "sha256:61c9a2c0d5981a78482025b6b69728521fbc78506d68b223d4a2eb825de5ca3d",
        "arm64": "sha256:6c2ee1d135626fa42e0d6fb66a0e0f42e22439e5050087d04f4c5ff53655892e",
        "armv7": "sha256:147d617e604e2e7d11b055484493c6a20731f6ce252d2bc47c716d8c48258719",
        "ppc64le": "sha256:5386e9811790616d5b3c4d5de2f449e6da99f03dd45f33ee3e3464e81a264e6e",
        "s390x": "sha256:c8645e6fcebde5a441e1050c673b3ffa38572f61c1d1b1605d2bf333d3760328",
    },
    "3.1.0": {
        "amd64": "sha256:c69f2b8778c5357a77f6b41730d94d5f0b2b7cf54534040a06af5f0a70a731b2",
        "arm64": "sha256:f5527b7ed356767afb8a616e7b9423ef161b470e3674893e395e2a4e656deb1c",
        "armv7": "sha256:0217d5704cd0be893320e686ca6bb7341991d9ed23251ac1265301994a890b6f",
        "ppc64le": "sha256:1dc0fc28f368dd2d3b485f1bc7f9e5a6cb2421cf8fa94aade30fc334a362ae47",
        "s390x": "sha256:cbe535d6d70e5d9b6c160a6c52445eb9c90af57e12e2b5d377d1263077ae741e",
    },
    "3.1.1": {
        "amd64": "sha256:6f330a3ba9ea1d23a6ee189f449d792595240585bb2f159123d76ac594f70dd8",
        "arm64": "sha256:8167316d2b4a57e10d44f8c8a3c75fea5f3ec1c71872760bb903e5e8e52e9ad6",
        "armv7": "sha256:23bfb562d2b41dc6cb800fc7a2ea682071999ebb4c6e7c8162988bc49eb10ec3",
        "ppc64le": "sha256:7f7e126b18b3deb1eecf14824bd80215cda6a10bb07a47c7c42268319cf5b305",
        "s390x": "sha256:27f5f3237a6332b129d7383066eee99f15759f9add9304fbf283cef1e3803041",
    },
    # Of the others, only one source had the checksum when this was written.
    "3.1.2": {
        "amd64": "sha256:40df2224d410f72ae425c3371873b078bbdbda3b8b612be9571f0e6751f3acc8",
        "arm64": "sha256:09d26f88d2c0f161bd1b8bfc6c123571cc3d291dcca8af5477b3cacc4ec95e73",
    },
}
