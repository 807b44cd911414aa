//! What the reconciler reads from its environment besides what every function reads.

use aws::Variable;
use aws::variables::queue_of_provider;

/// Each provider, as the keys of its records begin, and the variable with its queue.
pub const QUEUES: [(&str, Variable); 3] = [
    ("umaaas", queue_of_provider("UMAAAS_QUEUE_URL")),
    ("weavr", queue_of_provider("WEAVR_QUEUE_URL")),
    ("grid", queue_of_provider("GRID_QUEUE_URL")),
];
