# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS, as one account and region with one set of credentials shows it. PRIVATE to the collection."""

from __future__ import annotations

from .aws_ec2 import Ec2
from .aws_eks import Eks
from .aws_iam import Iam


class Aws(Eks, Ec2, Iam):
    """Every call that is made, by service. Threads may share it."""
