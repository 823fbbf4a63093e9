"""The lottery ticket hypothesis (Frankle and Carbin, 2019) on trial."""

from reviewlib.papers.lottery_tickets.method import find_ticket as find_ticket
