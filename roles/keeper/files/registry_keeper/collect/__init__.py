# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""collect, undo, runs and purge: what no tag needs goes into the quarantine, comes back, or goes for good. Images in files."""
