# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests of all scenarios use: their hosts, playbooks run as a user runs them, docker, and where the gateway keeps what."""
