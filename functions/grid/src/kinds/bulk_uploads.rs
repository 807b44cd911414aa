//! The resource of BULK_UPLOAD: an import of customers.

use ingest::schema::Shape::{AnyObject, Integer, List, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

pub(super) const JOB: &[Field] = &[
    required(&["id"], Text),
    required(&["progress"], Fields(PROGRESS)),
    required(&["status"], OneOf(&["COMPLETED", "FAILED", "PENDING", "PROCESSING"])),
    optional(&["completedAt"], Time),
    optional(&["errors"], List(&Fields(ERROR))),
];

const ERROR: &[Field] = &[
    required(&["correlationId"], Text),
    optional(&["code"], Text),
    optional(&["details"], AnyObject),
    // The example has these three in an object of their own.
    optional(&["error"], Fields(NESTED_ERROR)),
    optional(&["message"], Text),
];

const NESTED_ERROR: &[Field] =
    &[optional(&["code"], Text), optional(&["details"], AnyObject), optional(&["message"], Text)];

const PROGRESS: &[Field] = &[
    required(&["failed"], Integer),
    required(&["processed"], Integer),
    required(&["successful"], Integer),
    required(&["total"], Integer),
];
