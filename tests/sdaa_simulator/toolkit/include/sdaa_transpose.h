#pragma once
#include "sdaa_language.h"
