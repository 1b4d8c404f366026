# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The same commands for images in an S3 store, with the same rules: no file to rename, no lock, and several hosts."""
