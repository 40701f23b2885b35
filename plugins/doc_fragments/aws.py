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
      - AWS access key ID.
      - If neither this nor O(profile) is set, boto3 finds the credentials as usual, for example in
        E(AWS_ACCESS_KEY_ID), E(AWS_SECRET_ACCESS_KEY) and E(AWS_SESSION_TOKEN), in E(AWS_PROFILE), or on the instance.
    type: str
    aliases: [aws_access_key_id]
  secret_key:
    description: AWS secret access key. Required with O(access_key).
    type: str
    aliases: [aws_secret_access_key]
  session_token:
    description: AWS session token, for temporary credentials.
    type: str
    aliases: [aws_session_token]
  profile:
    description: Name of a profile in the AWS configuration files. Cannot be combined with O(access_key).
    type: str
    aliases: [aws_profile]
  region:
    description:
      - AWS region of the cluster.
      - Defaults to the environment variable E(AWS_REGION) or E(AWS_DEFAULT_REGION).
    type: str
    aliases: [aws_region]
  account_id:
    description:
      - AWS account that the cluster must be in, as 12 digits in quotes.
      - The task fails before any change if the credentials belong to another account. It is not checked if the task
        needs nothing from AWS.
    type: str
  endpoint_url:
    description:
      - Address for all AWS calls instead of AWS's own addresses, without a user name or password. C(http://) is only
        allowed for addresses of the machine itself.
      - Defaults to the environment variable E(AWS_URL).
    type: str
  aws_ca_bundle:
    description:
      - File with the CA certificates for AWS's addresses, if your company's proxy terminates TLS.
      - Defaults to the environment variable E(AWS_CA_BUNDLE).
    type: path
  assume_role_arn:
    description: ARN of an IAM role to assume first, for example in the account of the cluster.
    type: str
  assume_role_external_id:
    description: External ID that the trust policy of O(assume_role_arn) requires.
    type: str
  aws_validate_certs:
    description: Whether to verify the TLS certificates of AWS's addresses.
    type: bool
    default: true
requirements:
  - boto3 >= 1.34.3
"""
