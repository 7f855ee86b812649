/*
 * banned.h - functions that this house does not call; included in every compilation by the Makefile. The compiler refuses them.
 */
#ifndef AM_BASE_BANNED_H
#define AM_BASE_BANNED_H

#pragma GCC poison strcpy strcat sprintf vsprintf strtok strtok_r gets system popen rand srand atoi atol atoll atof tmpnam mktemp alloca

#endif
