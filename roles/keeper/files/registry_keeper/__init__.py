# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""registry-keeper: collects, retains, checks and backs up what a registry stores, while the registry runs.

Standard library only, Python 3.9 and newer. Each command is a module of its own; main.py lists them.

All packages use storage, and the few modules here. retain and s3 use collect; s3 uses retain and scrub; bucket_backup uses s3.
"""
