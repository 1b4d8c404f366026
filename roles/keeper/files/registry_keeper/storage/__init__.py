# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a registry stores images: its tree, its links and manifests, what a repository needs, and whether it is complete. No command is here."""
