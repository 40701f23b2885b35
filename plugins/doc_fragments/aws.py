# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection to AWS."""

    DOCUMENTATION = r"""
options:
  access_key:
    description:
      - AWS access key id.
      - When neither this nor O(profile) is set, the credentials are found as boto3 finds them, in the variables
        E(AWS_ACCESS_KEY_ID), E(AWS_SECRET_ACCESS_KEY) and E(AWS_SESSION_TOKEN), in E(AWS_PROFILE), or on the instance.
    type: str
    aliases: [aws_access_key_id]
  secret_key:
    description: AWS secret access key. Needed with O(access_key).
    type: str
    aliases: [aws_secret_access_key]
  session_token:
    description: AWS session token, for temporary credentials.
    type: str
    aliases: [aws_session_token]
  profile:
    description: Name of a profile in the AWS configuration files. Excludes O(access_key).
    type: str
    aliases: [aws_profile]
  region:
    description:
      - AWS region of the cluster.
      - Read from the environment variable E(AWS_REGION) or E(AWS_DEFAULT_REGION) when not set.
    type: str
    aliases: [aws_region]
  account_id:
    description:
      - The 12 digits of the AWS account that the cluster must be in, in quotes.
      - The task fails before any change when the credentials lead to another account. It is not checked when the task
        needs nothing from AWS.
    type: str
  endpoint_url:
    description:
      - Address that all AWS calls go to instead of AWS's own, without a user name or password. With C(http://) only
        this machine itself can be addressed.
      - Read from the environment variable E(AWS_URL) when not set.
    type: str
  aws_ca_bundle:
    description:
      - File with the CA certificates that AWS's addresses are checked against, if a proxy of your company ends TLS.
      - Read from the environment variable E(AWS_CA_BUNDLE) when not set.
    type: path
  assume_role_arn:
    description: ARN of an IAM role to assume first, for example in the account of the cluster.
    type: str
  assume_role_external_id:
    description: External id that the trust policy of O(assume_role_arn) asks for.
    type: str
  aws_validate_certs:
    description: Whether the TLS certificates of AWS's addresses are checked.
    type: bool
    default: true
requirements:
  - boto3 >= 1.34.3
"""
