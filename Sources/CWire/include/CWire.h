#include "common.pb-c.h"
#include "control.pb-c.h"
#include "kv.pb-c.h"
#include "rpc.pb-c.h"
